"""Runs on a schedule: when each is due, what becomes of each tick, and the loop that fires them."""
