"""`launch-job schedule start`: the loop as a process that a machine runs all the time.

It sleeps until a tick is due, a signal comes, or it is time to look whether a schedule was changed;
never longer than two seconds, so that a clock that jumps is noticed however it jumps.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from orchestrator.driver_lock import is_held
from orchestrator.errors import LaunchJobError
from orchestrator.schedule.decision import Outcome
from orchestrator.schedule.definition import Schedule
from orchestrator.schedule.folder import SchedulesFolder
from orchestrator.schedule.keeper import launch_job
from orchestrator.schedule.loop import Loop
from orchestrator.schedule.shelf import Shelf
from orchestrator.storage.atomic import write_json
from orchestrator.storage.storage import Storage

#: Longest sleep; as often it is looked whether a schedule was changed.
_LOOK_S = 2.0

#: How often the health file is written, and it is looked whether each fired tick has a keeper.
_BEAT_S = 10.0

#: The wall's clock has jumped if it goes this much faster or slower than the machine's.
_JUMP_S = 5.0


def log_line(event: str, **details: object) -> None:
    """Print what happened as a line of JSON."""
    line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **details}
    sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    sys.stdout.flush()


@dataclass(kw_only=True)
class KeeperProcesses:
    """Keepers as processes of their own: they outlive the loop."""

    #: Where the schedules are.
    storage: Storage
    _own: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, schedule: Schedule, outcome: Outcome) -> None:
        """Start one; it ends at once where another one has the tick."""
        assert outcome.run_id is not None
        words = ("schedule", "keep", schedule.name, outcome.run_id)
        path = SchedulesFolder.of(self.storage).schedule(schedule.name).log(outcome.run_id)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Not the loop's own output: who reads that to its end waits for the loop alone.
            with path.open("ab") as log:
                self._own[outcome.run_id] = subprocess.Popen(
                    launch_job(*words, "--storage", str(self.storage.path)),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        except OSError as err:  # Too many processes: the next beat tries again.
            log_line("error", run_id=outcome.run_id, error=str(err))

    def is_at_work(self, schedule: Schedule, outcome: Outcome) -> bool:
        """Return whether one lives, wherever it was started."""
        assert outcome.run_id is not None
        folder = SchedulesFolder.of(self.storage).schedule(schedule.name)
        return outcome.run_id in self._own or is_held(folder.attempts(outcome.run_id))

    def reap(self) -> None:
        """Forget those that have ended."""
        self._own = {run_id: one for run_id, one in self._own.items() if one.poll() is None}


class Service:
    """Runs the loop until a signal ends it.

    Args:
        storage: Where the schedules are.
    """

    def __init__(self, storage: Storage) -> None:
        self._keepers = KeeperProcesses(storage=storage)
        self._loop = Loop(Shelf(storage=storage), self._keepers, log_line)
        self._health = SchedulesFolder.of(storage).health(socket.gethostname().lower())
        self._started = datetime.now(UTC)
        self._beat_at = 0.0
        self._problem: str | None = None

    def serve(self) -> None:
        """Fire what is due until SIGTERM, SIGINT or SIGHUP; runs that go on are left alone."""
        with _woken_by_signals() as (wake, noted):
            log_line("start", pid=os.getpid(), host=socket.gethostname())
            skew = _skew()
            while not noted:
                self._work()
                if abs((now := _skew()) - skew) > _JUMP_S:
                    log_line("clock jumped", seconds=round(now - skew, 1))
                skew = now
                self._sleep(wake)
            self._beat("stopped")
            log_line("stop", signal=signal.Signals(noted[0]).name)

    def _work(self) -> None:
        self._keepers.reap()
        try:
            self._loop.refresh()
            self._loop.turn(datetime.now(UTC))
            if time.monotonic() - self._beat_at >= _BEAT_S:
                self._loop.take_up()
                self._beat("running")
                self._beat_at = time.monotonic()
            self._problem = None
        except LaunchJobError as err:
            if err.message != self._problem:
                log_line("error", error=err.message)
            self._problem = err.message

    def _sleep(self, wake: int) -> None:
        due = self._loop.fires_at
        left = (due - datetime.now(UTC)).total_seconds() if due else _LOOK_S
        select.select([wake], [], [], min(max(left, 0.0), _LOOK_S))

    def _beat(self, state: str) -> None:
        due = self._loop.fires_at
        values = {
            "state": state,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started_at": self._started.isoformat(),
            "time": datetime.now(UTC).isoformat(),
            "schedules": self._loop.schedules,
            "next": due.isoformat() if due else None,
        }
        write_json(self._health, values)


def _skew() -> float:
    """Return how far the wall's clock is from the one that nobody can set."""
    # Linux has one that goes on while the machine sleeps.
    return time.time() - time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@contextlib.contextmanager
def _woken_by_signals() -> Iterator[tuple[int, list[int]]]:
    """Give a file that becomes readable with a signal that means to end, and the list of those."""
    noted: list[int] = []
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, frame: noted.append(number))
    try:
        yield read, noted
    finally:
        signal.set_wakeup_fd(-1)
        os.close(read)
        os.close(write)
