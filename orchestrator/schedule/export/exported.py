"""What an export gives: files for another scheduler, and what that one can't do."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.schedule.definition import Schedule
from orchestrator.schedule.keeper import launch_job
from orchestrator.schedule.times import Cron
from orchestrator.storage.storage import Storage

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400


@dataclass(frozen=True, kw_only=True)
class Exported:
    """Files for another scheduler."""

    #: Content of each file, by its name.
    files: Mapping[str, str]
    #: What the schedule says and the files don't, in words.
    notes: Sequence[str]


def firing(schedule: Schedule, storage: Storage) -> str:
    """Return the shell command that fires a schedule once, and ends with its run's exit code."""
    return shlex.join(launch_job("schedule", "run", schedule.name, "--storage", str(storage.path)))


def cron_fields(schedule: Schedule) -> str:
    """Return when a schedule is due as a cron line.

    Raises:
        UsageError: A cron line can't say it.
    """
    if schedule.cron is not None:
        return " ".join(Cron(line=schedule.cron).fields.split())
    seconds = schedule.every_s or 0
    if seconds == _DAY_S:
        return "0 0 * * *"
    if seconds % _HOUR_S == 0 and _DAY_S % seconds == 0:
        return f"0 */{seconds // _HOUR_S} * * *"
    if seconds % _MINUTE_S == 0 and _HOUR_S % seconds == 0:
        return f"*/{seconds // _MINUTE_S} * * * *"
    raise UsageError(
        f"A cron line can't say {schedule.when!r}.",
        hint="It can say intervals that divide an hour or a day; systemd takes any.",
    )


def to_yaml(*objects: Mapping[str, Any]) -> str:
    """Return objects as YAML that people can read: long texts in lines, nothing by reference."""
    import yaml

    class Dumper(yaml.SafeDumper):  # type: ignore[misc]  # it comes without types
        def ignore_aliases(self, data: object) -> bool:
            return True

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return yaml.dump_all(objects, Dumper=Dumper, sort_keys=False, width=10_000)


def untold(schedule: Schedule, *fields: str) -> list[str]:
    """Return a note for each of some fields that a schedule uses and a target has no word for."""
    words = {
        "start": schedule.start and f"--start {schedule.start.isoformat()}",
        "end": schedule.end and f"--end {schedule.end.isoformat()}",
        "jitter": schedule.jitter_s and f"--jitter of {schedule.jitter_s} s",
        "notify": schedule.notify and "--notify",
        "cluster": schedule.cluster_up and "--cluster-up: a RayJob brings its own cluster",
    }
    return [f"left out: {words[field]}" for field in fields if words[field]]
