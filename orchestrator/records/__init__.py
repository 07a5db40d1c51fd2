"""What a run writes down while it goes on, for its views, its results and its next attempt."""
