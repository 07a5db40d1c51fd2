"""From what is asked for to a run that has a driver: here, or on a cluster."""
