"""Schedules for tests."""

from datetime import UTC, datetime

from orchestrator.schedule.definition import Schedule

#: When they were made, unless a test says otherwise.
FIRST = datetime(2026, 1, 1, tzinfo=UTC)


def make_schedule(name="nightly", **wanted):
    """Return a schedule of every six hours, but for what is wanted."""
    if "cron" not in wanted:
        wanted = {"every_s": 6 * 3600, **wanted}
    return Schedule(
        **{"name": name, "key": f"{name}~1", "job": "pets", "folder": "/", "since": FIRST, **wanted}
    )
