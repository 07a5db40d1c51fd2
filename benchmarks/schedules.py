"""Schedules: a pass of the loop against the bare cron library, `schedule ls`, and lateness.

All schedules are due at once. A pass computes the tick that follows, decides what becomes of the
one that is due, and makes its record on the storage; starting the processes of runs is left out.
The peer computes the following tick of each line from the line and a time, as cronsim's own users
do. Target: 2 times the peer's time or less. For information, cronsim with an iterator at hand for
each line, which is how the loop uses it.

`schedule ls` of ten times as many schedules: 11 times the time or less.

How late ticks fire is measured with the loop as a process, and shown for information.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from cronsim import CronSim
from measure import LAUNCH_JOB, ROOT, Target, report, show, take_turns

from orchestrator.schedule.definition import Schedule
from orchestrator.schedule.loop import Loop
from orchestrator.schedule.shelf import Shelf
from orchestrator.storage import Storage

PASS, BARE, READY = "pass of the loop", "cronsim, from line and time", "cronsim, iterators at hand"
FEW, MANY = "ls of a tenth", "ls of all"
SINCE = datetime(2026, 1, 1, tzinfo=UTC)


class NoKeepers:
    """Stands in for the processes that look after runs."""

    def start(self, schedule: Schedule, outcome: object) -> None:
        """Start nothing."""

    def is_at_work(self, schedule: Schedule, outcome: object) -> bool:
        """Return that all is well."""
        return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ticks", type=int, default=300, help="ticks whose lateness is measured")
    options = parser.parse_args()
    lines = [f"{i % 60} {i // 60 % 24} * * *" for i in range(options.schedules)]
    with tempfile.TemporaryDirectory() as folder:
        whole, tenth = (Storage(path=Path(folder) / name) for name in ("whole", "tenth"))
        fill(whole, lines)
        fill(tenth, lines[::10])
        status = compare_lists(tenth, whole, options.rounds)
        status |= compare_passes(whole, lines, options.rounds)
        show_lateness(Storage(path=Path(folder) / "late"), options.ticks)
    return status


def compare_passes(storage: Storage, lines: list[str], rounds: int) -> int:
    loop = Loop(Shelf(storage=storage), NoKeepers(), lambda event, **details: None)
    loop.refresh()
    days = count(1)
    iterators = [CronSim(line, SINCE) for line in lines]

    def pass_() -> float:
        now = SINCE + timedelta(days=next(days))
        return seconds(lambda: loop.turn(now))

    contestants = {
        PASS: pass_,
        BARE: lambda: seconds(lambda: [next(CronSim(line, SINCE)) for line in lines]),
        READY: lambda: seconds(lambda: [next(iterator) for iterator in iterators]),
    }
    pass_()  # The first records of a folder cost more.
    targets = {(PASS, BARE): Target(bound=2, at_least=False), (PASS, READY): None}
    return report(
        "schedules_pass", f"seconds, {len(lines):,} due", take_turns(contestants, rounds), targets
    )


def compare_lists(tenth: Storage, whole: Storage, rounds: int) -> int:
    def ls(storage: Storage) -> float:
        command = [LAUNCH_JOB, "schedule", "ls", "-o", "json", "--storage", storage.path]
        return seconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))

    values = take_turns({FEW: lambda: ls(tenth), MANY: lambda: ls(whole)}, rounds)
    return report(
        "schedules_ls", "seconds", values, {(MANY, FEW): Target(bound=11, at_least=False)}
    )


def show_lateness(storage: Storage, ticks: int) -> None:
    """Have a loop fire ten schedules of every second, and show how late it was."""
    for number in range(10):
        add = ["schedule", "add", f"s{number}", "lstm-mnist", "--every", "1s", "--retries", "0"]
        # A run that can't begin, so that the loop is measured and not this machine's training.
        wrong = ["--dataset", "gone.csv", "--overlap", "skip", "--storage", storage.path]
        subprocess.run([LAUNCH_JOB, *add, *wrong], check=True, capture_output=True)
    command = [LAUNCH_JOB, "schedule", "start", "--storage", storage.path]
    late: list[float] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "tick" and event["outcome"] != "missed":
                late.append(event["late_s"])
            if len(late) == ticks:
                process.terminate()
    cuts = statistics.quantiles(late, n=100)
    show(
        f"seconds from a tick to its record, {len(late)} ticks of 10 schedules of every second",
        ("", "p50", "p90", "p99", "max"),
        [("late", *(f"{value:.3f}" for value in (cuts[49], cuts[89], cuts[98], max(late))))],
    )


def seconds(work: Callable[[], object]) -> float:
    """Return how long some work took."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def fill(storage: Storage, lines: list[str]) -> None:
    """Write schedules, one for each line, without bringing each to disk."""
    print(f"writing {len(lines):,} schedules", file=sys.stderr)
    for number, line in enumerate(lines):
        schedule = Schedule(
            name=f"s{number:05d}",
            key=f"s{number:05d}",
            job="lstm-mnist",
            cron=line,
            folder=str(ROOT),
            since=SINCE,
        )
        folder = storage.schedule(schedule.name)
        folder.path.mkdir(parents=True)
        folder.definition.write_text(json.dumps(schedule.to_dict()))


if __name__ == "__main__":
    sys.exit(main())
