"""Schedules: a pass of the loop against cronsim alone, and `schedule ls`, with 10,000 of them.

All schedules are due at once. A pass computes the tick that follows, decides what becomes of the
one that is due, and makes the record on the storage, on disk; what starts the processes of runs is
left out. The peer computes the same ticks, each from its cron line and the tick a day before; for
information, also with an iterator at hand for each line. `schedule ls` of all against one of a
tenth of them, as whole processes: ten times as many shall take no more than eleven times as long.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from cronsim import CronSim
from harness import (
    LAUNCH_JOB,
    ROOT,
    Comparison,
    Question,
    at_most,
    options,
    report,
    seconds,
    take_turns,
)

sys.path.insert(0, str(ROOT))  # so that it also runs where launch-job isn't installed

from orchestrator.schedule.definition import Schedule
from orchestrator.schedule.folder import SchedulesFolder
from orchestrator.schedule.loop import Loop
from orchestrator.schedule.shelf import Shelf
from orchestrator.storage.storage import Storage

SCHEDULES = 10_000
SINCE = datetime(2026, 1, 1, tzinfo=UTC)
PASS, BARE, READY = "pass of the loop", "cronsim, from line and tick", "cronsim, iterators at hand"
WHOLE, TENTH = "schedule ls", "schedule ls of a tenth"

QUESTION = Question(
    name="schedules",
    title="What do 10,000 schedules cost that are due at once?",
    unit="seconds",
    comparisons=(
        Comparison(ours=PASS, peer=BARE, target=at_most(2)),
        Comparison(ours=PASS, peer=READY),
        Comparison(ours=WHOLE, peer=TENTH, target=at_most(11)),
    ),
    method=__doc__,
)


class NoKeepers:
    """Stands in for the processes that look after runs."""

    def start(self, schedule: Schedule, outcome: object) -> None:
        """Start nothing."""

    def is_at_work(self, schedule: Schedule, outcome: object) -> bool:
        """Return that all is well."""
        return True


def main() -> int:
    rounds = options(__doc__, rounds=7).parse_args().rounds
    lines = [f"{number % 60} {number // 60 % 24} * * *" for number in range(SCHEDULES)]
    with tempfile.TemporaryDirectory() as folder:
        names = ("passes", "whole", "tenth")
        passes, whole, tenth = (Storage(path=Path(folder) / name) for name in names)
        fill(passes, lines)
        fill(whole, lines)
        fill(tenth, lines[::10])
        loop = Loop(Shelf(storage=passes), NoKeepers(), lambda event, **details: None)
        loop.refresh()
        days = count(1)
        before = [(line, next(CronSim(line, SINCE))) for line in lines]
        iterators = [CronSim(line, SINCE) for line in lines]
        contestants = {
            PASS: lambda: timed(lambda: loop.turn(SINCE + timedelta(days=next(days)))),
            BARE: lambda: timed(lambda: [next(CronSim(line, tick)) for line, tick in before]),
            READY: lambda: timed(lambda: [next(iterator) for iterator in iterators]),
            WHOLE: lambda: seconds(ls(whole)),
            TENTH: lambda: seconds(ls(tenth)),
        }
        return report(QUESTION, take_turns(contestants, rounds))


def fill(storage: Storage, lines: list[str]) -> None:
    """Write schedules, one for each line, without bringing each to disk."""
    for number, line in enumerate(lines):
        name = f"s{number:05d}"
        schedule = Schedule(
            name=name, key=name, job="lstm-mnist", cron=line, folder=str(ROOT), since=SINCE
        )
        path = SchedulesFolder.of(storage).schedule(name).definition
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(schedule.to_dict()))


def ls(storage: Storage) -> list[str | Path]:
    return [LAUNCH_JOB, "schedule", "ls", "-o", "json", "--storage", storage.path]


def timed(work: Callable[[], object]) -> float:
    """Return how many seconds some work took."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
