"""One run, from its beginning to its record, wherever its workers are."""
