"""Looks after the run of one fired tick, from its start to the record of its end.

A run is started by the ordinary command, as a process of its own; nothing here knows how it
trains. Where a keeper dies, another one goes on: what it has to know is on the storage.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from orchestrator.catalog import load_catalog
from orchestrator.driver_lock import hold, is_driven
from orchestrator.errors import LaunchJobError, UsageError
from orchestrator.records.events import EventLog
from orchestrator.results.runs import is_due
from orchestrator.schedule.decision import Outcome
from orchestrator.schedule.definition import Schedule
from orchestrator.schedule.ending import Ending, Endings
from orchestrator.schedule.notice import notify
from orchestrator.states import RunState
from orchestrator.storage.atomic import leave_request, storage_errors
from orchestrator.storage.run_folder import RunFolder
from orchestrator.storage.storage import Storage

#: How often a keeper looks whether the runs before its own have ended.
_LOOK_S = 1.0

#: How long it waits before it takes a run up again, times the attempts so far.
_BACKOFF_S = 30.0

#: What a run's process ends with where its cluster, its storage or its data can't be had.
_UNAVAILABLE = 3

#: States that a run is never taken up from.
_OVER = {RunState.SUCCEEDED, RunState.STOPPED}


def launch_job(*words: str) -> list[str]:
    """Return a launch-job command that starts in this Python, whatever lies in the folder."""
    return [sys.executable, "-P", "-m", "orchestrator", *words]


@dataclass(kw_only=True)
class Keeper:
    """Looks after one fired tick."""

    #: Its schedule.
    schedule: Schedule
    #: The tick.
    outcome: Outcome
    #: How the schedule's ticks ended.
    endings: Endings
    #: Where runs are.
    storage: Storage
    #: Whether its processes print to this terminal, not to a file.
    foreground: bool = False

    def keep(self) -> Ending | None:
        """See the tick through, and record how it ended.

        Returns:
            How; None if another keeper has the tick, it has ended, or its schedule is gone.

        Raises:
            UnavailableError: The storage can't be used.
        """
        handle = hold(self.endings.folder.attempts(self._run_id))
        if handle is None:
            return None
        try:
            if self.endings.has(self.outcome) or not self._await_turn():
                return None
            ending = self._see_through(handle)
            self.endings.record(self.outcome, ending)
            return ending
        finally:
            os.close(handle)

    @property
    def _run_id(self) -> str:
        assert self.outcome.run_id is not None
        return self.outcome.run_id

    @property
    def _run(self) -> RunFolder:
        return self.storage.run(self._run_id)

    def _await_turn(self) -> bool:
        """Wait until the runs before this one have ended; return whether the schedule remains."""
        for run_id in self.outcome.after:
            while not Path(self.endings.folder.end(run_id)).exists():
                if not self.endings.folder.definition.exists():
                    return False
                run = self.storage.run(run_id)
                # Asked again and again: a driver that has just begun knows of nothing before it.
                if self.schedule.overlap == "replace" and is_driven(run):
                    leave_request(run.stop_request, by=f"schedule {self.schedule.name}")
                time.sleep(_LOOK_S)
        return True

    def _see_through(self, handle: int) -> Ending:
        """Start the run, take it up as often as it may be, and tell how it ended."""
        attempts, problem = _attempts(handle), None
        try:
            while self._goes_on(attempts, problem):
                if problem is not None:
                    time.sleep(_BACKOFF_S * attempts)
                attempts += 1
                os.pwrite(handle, json.dumps({"attempts": attempts}).encode(), 0)
                problem = self._attempt()
            state, why = self._judge(problem)
            if self.schedule.cluster_down and (code := self._launch_job("cluster", "down")):
                why = f"{why + '; ' if why else ''}cluster down ended with exit code {code}"
        except LaunchJobError as err:
            state = EventLog(path=self._run.events).state()
            why = f"{err.message} {err.hint or ''}".strip()
        return self._told(state, why, attempts)

    def _goes_on(self, attempts: int, problem: int | None) -> bool:
        """Return whether there is to be another attempt, once no process drives the run.

        Args:
            attempts: How many there were.
            problem: What the last one's process ended with; None: no one of this keeper's.
        """
        self._await_driver()
        passing = problem is None or problem < 0 or problem == _UNAVAILABLE
        state = EventLog(path=self._run.events).state()
        over = state in _OVER or (state is RunState.FAILED and problem != _UNAVAILABLE)
        return passing and not over and attempts <= self.schedule.retries

    def _await_driver(self) -> None:
        """Wait while the run is driven, or about to be."""
        log = EventLog(path=self._run.events)
        while is_driven(self._run) or is_due(self._run, log.read()):
            time.sleep(_LOOK_S)

    def _judge(self, problem: int | None) -> tuple[RunState | None, str | None]:
        """Return the state that the run is left in, and what went wrong."""
        state = EventLog(path=self._run.events).state()
        if state is RunState.SUCCEEDED:
            return state, None
        if state is not None and not state.finished:
            state = RunState.LOST
        if problem is None or problem < 0:
            return state, "its process was killed"
        return state, self._last_error() or f"its process ended with exit code {problem}"

    def _told(self, state: RunState | None, why: str | None, attempts: int) -> Ending:
        """Return how the tick ended, after telling those who want to know."""
        facts = {
            "schedule": self.schedule.name,
            "job": self.schedule.job,
            "tick": self.outcome.tick.isoformat(),
            "run_id": self._run_id,
            "state": state,
            "why": why,
            "attempts": attempts,
            "storage": str(self.storage.path),
        }
        return Ending(
            state=state,
            time=datetime.now(UTC),
            why=why,
            attempts=attempts,
            notified=tuple(notify(target, facts) for target in self.schedule.notify),
        )

    def _attempt(self) -> int:
        """Start the run, or take it up; return what its process ended with.

        Raises:
            UsageError: The job or the project's folder is gone.
        """
        if EventLog(path=self._run.events).state() is not None:
            address = option(self.schedule.args, "--address")
            words = ["resume", self._run_id, *(["--address", address] if address else [])]
        else:
            words = ["submit", *run_words(self.schedule, tick=self.outcome.tick)]
            words += ["--run-id", self._run_id]
        if self.schedule.cluster_up and (problem := self._launch_job("cluster", "up")):
            return problem
        return self._launch_job(*words, "--storage", str(self.storage.path))

    def _launch_job(self, *words: str) -> int:
        folder = Path(self.schedule.folder)
        if not folder.is_dir():
            raise UsageError(f"{folder}, where runs of this schedule start, is gone.")
        with self._output() as output, self._asking_to_stop():
            process = subprocess.Popen(
                launch_job(*words),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
            return process.wait()

    @contextlib.contextmanager
    def _asking_to_stop(self) -> Iterator[None]:
        """Turn a signal to end into a request to the run, and wait for it.

        Ctrl-C and a service's end reach the run's process as well: a signal more would end it
        without a checkpoint.
        """

        def ask(number: int, frame: FrameType | None) -> None:
            leave_request(self._run.stop_request, by=signal.Signals(number).name)

        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, ask) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def _output(self) -> Iterator[int | None]:
        """Give what the run's process prints to; None: this terminal."""
        if self.foreground:
            yield None
            return
        with storage_errors(self._log):
            self._log.parent.mkdir(parents=True, exist_ok=True)
            file = self._log.open("ab")
        with file:
            yield file.fileno()

    @property
    def _log(self) -> Path:
        return self.endings.folder.log(self._run_id)

    def _last_error(self) -> str | None:
        """Return what the run's process complained of last."""
        try:
            lines = self._log.read_text(errors="replace").splitlines()
        except OSError:
            return None
        said = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
        return said[-1] if said else None


def run_words(schedule: Schedule, *, tick: datetime | None) -> list[str]:
    """Return job and options of a schedule's run, as `launch-job submit` takes them.

    Its dataset is always named, so that no other one may stand in for it.

    Args:
        schedule: The schedule.
        tick: The tick that it is tagged with, if there is one.

    Raises:
        UsageError: The job is gone.
    """
    words = [schedule.job, *schedule.args, "--retries", str(schedule.retries)]
    words += named_dataset(schedule.job, schedule.args, Path(schedule.folder))
    words += ["--tag", f"schedule={schedule.name}"]
    return words if tick is None else [*words, "--tag", f"tick={tick.isoformat()}"]


def named_dataset(job: str, args: Sequence[str], folder: Path) -> list[str]:
    """Return the option that names a run's dataset, where a command line has none.

    Raises:
        UsageError: The job is gone.
    """
    if option(args, "--dataset") is not None:
        return []
    return ["--dataset", load_catalog(folder).jobs.get(job).dataset]


def option(args: Sequence[str], name: str) -> str | None:
    """Return what an option is given on a command line that is known to be right; None: nothing."""
    for place, word in enumerate(args):
        if word == name:
            return args[place + 1]
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return None


def _attempts(handle: int) -> int:
    """Return how many attempts there were by keepers before this one."""
    text = os.pread(handle, 200, 0)
    return int(json.loads(text)["attempts"]) if text else 0
