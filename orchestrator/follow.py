"""Following a run from its folder, whoever drives it and wherever: until it ends, never before."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from orchestrator.driver_lock import DriverLock, is_driven
from orchestrator.errors import (
    LaunchJobError,
    RunFailedError,
    StoppedError,
    UnavailableError,
    UsageError,
)
from orchestrator.observer import Observer
from orchestrator.records.events import Event, EventLog, EventTail
from orchestrator.results.report import Report
from orchestrator.states import RunState
from orchestrator.storage.run_folder import RunFolder
from orchestrator.training.mailbox import Update

#: How often the run's folder is looked at.
_LOOK_S = 0.2

#: How often it is, if it has to be brought here first.
_PULL_S = 1.0

#: How often somebody is asked about a run that nobody seems to drive.
_ASK_S = 2.0

#: A run that nobody drives, and of which nobody knows, is given up after so long.
_PATIENCE_S = 60.0


class Vital(Enum):
    """What whoever started a run's driver knows of it."""

    #: It is about to start, or goes on.
    ALIVE = "alive"
    #: It has ended.
    GONE = "gone"
    #: Nobody who knows can be reached.
    UNKNOWN = "unknown"


#: Says whether a driver lives that holds no lock yet, and what it said last.
AskVital = Callable[[], tuple[Vital, tuple[str, ...]]]


def nobody_knows() -> tuple[Vital, tuple[str, ...]]:
    """Answer for a run that was not submitted: its driver holds its lock, or it is gone."""
    return Vital.GONE, ()


@dataclass(kw_only=True)
class Follower:
    """Tells an observer what a run's driver tells, from the beginning of its newest attempt on."""

    #: The run.
    run: RunFolder
    #: Who is told.
    observer: Observer
    #: Asked about a driver that holds no lock.
    ask: AskVital = nobody_knows
    #: Seconds that only grow.
    clock: Callable[[], float] = time.monotonic
    #: Waits for so many seconds.
    pause: Callable[[float], None] = time.sleep
    _live: str = ""
    _asked_at: float | None = None
    _alone_since: float | None = None
    _planned: bool = False

    def follow(self) -> Report:
        """Follow the run until it ends.

        Returns:
            The report of a run that has succeeded.

        Raises:
            StoppedError: It was stopped.
            RunFailedError: It failed, or its driver is gone.
            UsageError: What it was asked to do can't be done.
            UnavailableError: It has not got what it needs, or nobody knows what became of it.
        """
        tail = EventTail(self.run.events)
        for event in _newest_stretch(tail.read()):
            if self._told_of_end(event):
                return Report.read(self.run)
        while True:
            self.run.pull()
            for event in tail.read():
                if self._told_of_end(event):
                    return Report.read(self.run)
            self._tell_live()
            lost = self._look_after_driver()
            if lost is not None:
                self.run.pull()
                for event in tail.read():  # Its last word may have come meanwhile.
                    if self._told_of_end(event):
                        return Report.read(self.run)
                raise lost
            self.pause(_LOOK_S if self.run.objects is None else _PULL_S)

    def _told_of_end(self, event: Event) -> bool:
        """Pass an event on; return whether the run has succeeded with it.

        Raises:
            LaunchJobError: The run has ended otherwise.
        """
        details = event.details
        match event.event:
            case "state":
                return self._enter(RunState(details["state"]), details)
            case "note":
                self.observer.note(details["text"])
            case "dashboard":
                self.observer.dashboard(details["address"])
            case "plan":
                self._planned = True
                self.observer.began(self.run, **details)
            case "epoch":
                metrics = {k: v for k, v in details.items() if k != "step"}
                self._update("epoch", event, epoch=int(details["epoch"]) - 1, metrics=metrics)
            case "ready" | "first_step" | "stopping" | "evaluating":
                self._update(event.event, event, epoch=details.get("epoch", 0))
        return False

    def _enter(self, state: RunState, details: Mapping[str, Any]) -> bool:
        self.observer.entered(state)
        if state in (RunState.FAILED, RunState.STOPPED):
            raise ending(self.run, state, details.get("error"))
        return state is RunState.SUCCEEDED

    def _update(self, kind: Any, event: Event, **details: Any) -> None:
        self.observer.update(Update(kind=kind, time_s=event.time.timestamp(), **details))

    def _tell_live(self) -> None:
        """Tell where the run stands at this moment, if that is news."""
        try:
            text = self.run.live.read_text()
            found = json.loads(text) if text != self._live else {}
        except (OSError, ValueError):
            return
        self._live = text
        if "progress" in found:
            self.observer.progress(**found["progress"])
        # Before its plan is told, a step is of the driver before this one.
        if "update" in found and self._planned:
            self.observer.update(Update(**found["update"]))

    def _look_after_driver(self) -> LaunchJobError | None:
        """Return what there is to say if the run has no driver any more, and none is to come."""
        if is_driven(self.run):
            self._alone_since = None
            return None
        now = self.clock()
        self._alone_since = now if self._alone_since is None else self._alone_since
        if self._asked_at is not None and now - self._asked_at < _ASK_S:
            return None
        self._asked_at = now
        vital, words = self.ask()
        if vital is Vital.ALIVE:
            self._alone_since = None
            return None
        if vital is Vital.GONE:
            if EventLog(path=self.run.events).state() is RunState.QUEUED:
                return self._never_begun(words)
            return RunFailedError(
                f"The driver of run {self.run.run_id} has ended without a last word.",
                hint=f"`launch-job resume {self.run.run_id}` goes on.",
                details=words,
            )
        if now - self._alone_since < _PATIENCE_S:
            return None
        return UnavailableError(
            f"Nobody drives run {self.run.run_id}, and its cluster does not answer.",
            hint=f"`launch-job resume {self.run.run_id}` goes on, there or on another cluster.",
        )

    def _never_begun(self, words: tuple[str, ...]) -> LaunchJobError | None:
        """Record, for the driver that never came, that the run failed, and return why."""
        error = UnavailableError(
            f"The cluster could not begin run {self.run.run_id}. It said last:", details=words
        )
        log = EventLog(path=self.run.events)
        with DriverLock(self.run):
            if log.state() is not RunState.QUEUED:
                return None
            account = {"message": error.message, "lines": list(words), "exit_code": 3}
            log.append("state", state=RunState.FAILED.value, error=account)
        return error


def _newest_stretch(events: list[Event]) -> list[Event]:
    """Return the events since the run was last queued."""
    starts = [
        i
        for i, event in enumerate(events)
        if event.event == "state" and event.details["state"] == RunState.QUEUED
    ]
    return events[starts[-1] :] if starts else []


def ending(run: RunFolder, state: RunState, error: Mapping[str, Any] | None) -> LaunchJobError:
    """Return the error that a run ended with, as its driver raised it.

    Args:
        run: The run.
        state: FAILED or STOPPED.
        error: What its driver wrote down.
    """
    again = f"`launch-job resume {run.run_id}` goes on."
    if state is RunState.STOPPED:
        return StoppedError(f"Run {run.run_id} was stopped.", hint=again)
    if error is None:
        return RunFailedError(f"Run {run.run_id} failed.", hint=again)
    kinds: dict[int, type[LaunchJobError]] = {2: UsageError, 3: UnavailableError}
    kind = kinds.get(error.get("exit_code", 1), RunFailedError)
    return kind(error["message"], hint=error.get("hint"), details=tuple(error.get("lines", ())))
