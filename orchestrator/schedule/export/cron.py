"""A schedule as lines of a crontab."""

from __future__ import annotations

import shlex

from orchestrator.schedule.definition import Schedule
from orchestrator.schedule.export.exported import Exported, cron_fields, firing, untold
from orchestrator.schedule.folder import SchedulesFolder
from orchestrator.storage.storage import Storage

#: What keeps two runs apart, by `--overlap`: util-linux's flock, on a file of the schedule.
_LOCKS = {"skip": "flock -n", "queue": "flock", "allow": "", "replace": "flock"}


def to_cron(schedule: Schedule, storage: Storage) -> Exported:
    """Return a schedule as lines of a crontab.

    Raises:
        UsageError: A cron line can't say when it is due.
    """
    notes = untold(schedule, "start", "end", "jitter")
    if schedule.misfire != "skip":
        notes.append(f"left out: --misfire {schedule.misfire}; cron makes up for no missed tick")
    if schedule.overlap == "replace":
        notes.append("--overlap replace is --overlap queue here: a tick waits for the run before")
    if schedule.cron is not None:
        notes.append("cronie reads CRON_TZ; Debian's cron goes by the zone of the machine")
    command = firing(schedule, storage)
    if lock := _LOCKS[schedule.overlap]:
        path = SchedulesFolder.of(storage).schedule(schedule.name).run_lock
        command = f"{lock} {shlex.quote(str(path))} {command}"
    lines = [
        f"# launch-job schedule {schedule.name}: {schedule.job}",
        *(f"# {note}" for note in notes),
    ]
    if schedule.cron is not None:
        lines.append(f"CRON_TZ={schedule.timezone}")
    # In a crontab, % begins a new line.
    lines.append(f"{cron_fields(schedule)} {command}".replace("%", r"\%"))
    return Exported(files={f"{schedule.name}.cron": "\n".join(lines) + "\n"}, notes=notes)
