"""A schedule as a systemd timer and the service that it starts."""

from __future__ import annotations

from datetime import UTC, datetime

from cronsim import CronSim

from orchestrator.errors import UsageError
from orchestrator.schedule.definition import Schedule
from orchestrator.schedule.export.exported import Exported, cron_fields, firing, untold
from orchestrator.storage.storage import Storage

_WEEKDAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")

_SERVICE = """\
[Unit]
Description=launch-job schedule {name}: {job}
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
WorkingDirectory={folder}
ExecStart={command}
# A run writes a checkpoint when it is told to stop.
TimeoutStopSec=5min
"""

_TIMER = """\
[Unit]
Description=launch-job schedule {name}: {when}
{notes}
[Timer]
{times}
Persistent={persistent}
AccuracySec=1s
{jitter}
[Install]
WantedBy=timers.target
"""


def to_systemd(schedule: Schedule, storage: Storage) -> Exported:
    """Return a schedule as a timer and a service.

    Raises:
        UsageError: OnCalendar= can't say when it is due.
    """
    name = f"launch-job-{schedule.name}"
    notes = untold(schedule, "start", "end")
    if schedule.overlap != "skip":
        notes.append(f"left out: --overlap {schedule.overlap}; a timer skips while a run goes on")
    persistent = schedule.misfire != "skip" and schedule.every_s is None
    if schedule.every_s is not None:
        times = [f"OnActiveSec={schedule.every_s}s", f"OnUnitActiveSec={schedule.every_s}s"]
        if schedule.misfire != "skip":
            notes.append(f"left out: --misfire {schedule.misfire}; an interval begins anew")
    else:
        times = [f"OnCalendar={one}" for one in calendar(schedule)]
        if schedule.misfire == "all":
            notes.append("--misfire all is --misfire latest here: a timer makes up for one tick")
    service = _SERVICE.format(
        name=schedule.name,
        job=schedule.job,
        folder=schedule.folder.replace("%", "%%"),
        command=firing(schedule, storage).replace("%", "%%"),
    )
    timer = _TIMER.format(
        name=schedule.name,
        when=schedule.when,
        notes="".join(f"# {note}\n" for note in notes),
        times="\n".join(times),
        persistent="true" if persistent else "false",
        jitter=f"RandomizedDelaySec={schedule.jitter_s}s\n" if schedule.jitter_s else "",
    )
    return Exported(files={f"{name}.service": service, f"{name}.timer": timer}, notes=notes)


def calendar(schedule: Schedule) -> list[str]:
    """Return a cron line as systemd's calendar expressions.

    Raises:
        UsageError: They can't say it.
    """
    sim = CronSim(cron_fields(schedule), datetime(2026, 1, 1, tzinfo=UTC))
    if any(isinstance(day, tuple) for day in sim.weekdays) or min(sim.days) < 1:
        raise UsageError(
            f"systemd can't say {schedule.cron!r}: it has no word for the last or the n-th day.",
        )
    days = "*" if len(sim.days) == 31 else _listed(sim.days)
    months = "*" if len(sim.months) == 12 else _listed(sim.months)
    hours = "*" if len(sim.hours) == 24 else _listed(sim.hours)
    minutes = "*" if len(sim.minutes) == 60 else _listed(sim.minutes)
    numbers = sorted({day % 7 for day in sim.weekdays if isinstance(day, int)})
    weekdays = "" if len(numbers) == 7 else ",".join(_WEEKDAYS[day] for day in numbers) + " "
    time = f"{hours}:{minutes}:00 {schedule.timezone}"
    if sim.day_and or days == "*" or not weekdays:
        return [f"{weekdays}*-{months}-{days} {time}"]
    # Cron takes a day that either field names; a calendar expression, one that both do.
    return [f"*-{months}-{days} {time}", f"{weekdays}*-{months}-* {time}"]


def _listed(numbers: set[int]) -> str:
    return ",".join(f"{number:02d}" for number in sorted(numbers))
