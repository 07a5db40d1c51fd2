"""What came out of runs: reports, the tables that hold them, and views of both."""
