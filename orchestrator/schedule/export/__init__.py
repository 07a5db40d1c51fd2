"""Schedules, and single runs, as other schedulers take them."""
