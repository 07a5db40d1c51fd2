"""The loop: looks at what is due, decides, records, and starts what was fired.

It holds nothing that is not on the storage. Whatever it dies of, and however many there are, the
next one reads on from there.
"""

from __future__ import annotations

import contextlib
import gc
import heapq
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Protocol

from orchestrator.errors import LaunchJobError
from orchestrator.schedule.decision import Outcome
from orchestrator.schedule.definition import Schedule
from orchestrator.schedule.log import Log, OvertakenError
from orchestrator.schedule.shelf import Shelf
from orchestrator.schedule.timeline import Draft, Timeline

#: When what could not be recorded is tried again.
_RETRY_AFTER = timedelta(seconds=10)


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Keep Python from looking for garbage in cycles.

    Of thousands of ticks that are decided at once everything lives on, and is looked through over
    and over while it comes: that took a third of a pass.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class Keepers(Protocol):
    """Starts, for each fired tick, the process that looks after its run."""

    def start(self, schedule: Schedule, outcome: Outcome) -> None:
        """Start it; it does nothing where another one does the work already, or has done it."""

    def is_at_work(self, schedule: Schedule, outcome: Outcome) -> bool:
        """Return whether one lives, wherever it was started."""


class Loop:
    """Fires the schedules of one storage.

    Args:
        shelf: The schedules.
        keepers: Starts what looks after a run.
        log: Told what happens: the name of an event, and what belongs to it.
    """

    def __init__(self, shelf: Shelf, keepers: Keepers, log: Callable[..., None]) -> None:
        self._shelf = shelf
        self._keepers = keepers
        self._log = log
        self._records = Log(shelf.storage)
        self._mark: str | None = None
        self._timelines: dict[str, Timeline] = {}
        self._versions: dict[str, Any] = {}
        #: When each timeline wants to be looked at; one that was replaced meanwhile is passed over.
        self._queue: list[tuple[datetime, int, Timeline]] = []
        self._serial = count()

    @property
    def schedules(self) -> int:
        """How many schedules there are, but for those whose file is wrong."""
        return len(self._timelines)

    @property
    def fires_at(self) -> datetime | None:
        """When the next tick fires; None if none ever will."""
        return self._queue[0][0] if self._queue else None

    def refresh(self) -> None:
        """Read the schedules that have changed since the last time.

        Raises:
            UnavailableError: The storage can't be read.
        """
        mark = self._shelf.mark()
        if mark == self._mark:
            return
        self._read_on()
        names = set(self._shelf.names())
        for name in {*self._versions} - names:
            self._drop(name)
        for name in names:
            self._load(name)
        self._mark = mark

    def _load(self, name: str) -> None:
        version = self._shelf.version(name)
        if version == self._versions.get(name):
            return
        self._drop(name)
        if version is None:
            return
        try:
            schedule = self._shelf.read(name)
        except LaunchJobError as err:
            self._log("unreadable", schedule=name, error=err.message)
            self._versions[name] = version
            return
        timeline = Timeline(schedule, self._records, self._shelf.endings(name))
        self._versions[name], self._timelines[name] = version, timeline
        self._enqueue(timeline, at=timeline.fires_at)

    def _drop(self, name: str) -> None:
        self._versions.pop(name, None)
        self._timelines.pop(name, None)

    def _enqueue(self, timeline: Timeline, *, at: datetime | None) -> None:
        if at is not None:
            heapq.heappush(self._queue, (at, next(self._serial), timeline))

    @_no_collection()
    def turn(self, now: datetime) -> None:
        """Fire what is due, once.

        Something may be due after it as well: where another loop was faster, or very much was due.
        What can't be recorded is tried again later.
        """
        due = self._due(now)
        try:
            drafts = self._record(due, now)
        except LaunchJobError as err:
            self._log("error", error=err.message)
            for timeline in due:
                self._enqueue(timeline, at=now + _RETRY_AFTER)
            return
        for timeline in due:
            self._enqueue(timeline, at=timeline.fires_at)
        for timeline, draft in drafts:
            for outcome in draft.entry.ticks:
                self._follow(timeline.schedule, outcome, now)

    def _record(self, due: Sequence[Timeline], now: datetime) -> list[tuple[Timeline, Draft]]:
        """Decide what is due, and record it; nothing, where another loop has recorded meanwhile.

        Raises:
            UnavailableError: The log is damaged, or can't be read or written.
        """
        drafts = [(timeline, draft) for timeline in due if (draft := timeline.draft(now))]
        try:
            if drafts:
                self._records.append({one.schedule.key: draft.entry for one, draft in drafts})
        except OvertakenError:
            self._read_on()
            return []
        for timeline, draft in drafts:
            timeline.commit(draft)
        return drafts

    def _due(self, now: datetime) -> list[Timeline]:
        """Take from the queue what wants to be looked at."""
        due = []
        while self._queue and self._queue[0][0] <= now:
            timeline = heapq.heappop(self._queue)[2]
            if self._timelines.get(timeline.schedule.name) is timeline:
                due.append(timeline)
        return due

    def _read_on(self) -> None:
        """Go on from what other loops have recorded."""
        changed = self._records.read_on()
        for timeline in self._timelines.values():
            if timeline.schedule.key in changed:
                timeline.go_on()

    def _follow(self, schedule: Schedule, outcome: Outcome, now: datetime) -> None:
        late = round((now - schedule.fires_at(outcome.tick)).total_seconds(), 3)
        self._log("tick", schedule=schedule.name, late_s=late, **outcome.as_dict)
        if outcome.run_id:
            self._keepers.start(schedule, outcome)

    def take_up(self) -> None:
        """Start what looks after fired ticks again, where it has died before their end.

        Raises:
            UnavailableError: The log is damaged, or can't be read.
        """
        self._read_on()
        for timeline in self._timelines.values():
            for outcome in timeline.active():
                if not self._keepers.is_at_work(timeline.schedule, outcome):
                    self._log("taken up", schedule=timeline.schedule.name, run_id=outcome.run_id)
                    self._keepers.start(timeline.schedule, outcome)
