"""Your own data: tables, arrays and pictures in files, or in memory, as sources."""
