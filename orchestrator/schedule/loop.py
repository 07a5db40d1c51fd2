"""The loop: looks at what is due, decides, records, and starts what was fired.

It holds nothing that is not on the storage. Whatever it dies of, and however many there are, the
next one reads on from there.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Protocol

from orchestrator.errors import LaunchJobError
from orchestrator.schedule.decision import Outcome
from orchestrator.schedule.definition import Schedule
from orchestrator.schedule.shelf import Shelf
from orchestrator.schedule.timeline import Timeline

#: When a schedule whose log can't be read or written is looked at again.
_RETRY_AFTER = timedelta(seconds=10)


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
        self._versions[name] = version
        try:
            timeline = Timeline(self._shelf.read(name), self._shelf.history(name))
        except LaunchJobError as err:
            self._log("unreadable", schedule=name, error=err.message)
            return
        self._timelines[name] = timeline
        self._enqueue(timeline)

    def _drop(self, name: str) -> None:
        self._versions.pop(name, None)
        self._timelines.pop(name, None)

    def _enqueue(self, timeline: Timeline) -> None:
        if (at := timeline.fires_at) is not None:
            heapq.heappush(self._queue, (at, next(self._serial), timeline))

    def turn(self, now: datetime) -> None:
        """Fire what is due; what can't be recorded is tried again later."""
        queue = self._queue
        while queue and queue[0][0] <= now:
            timeline = heapq.heappop(queue)[2]
            schedule = timeline.schedule
            if self._timelines.get(schedule.name) is not timeline:
                continue
            try:
                for outcome in timeline.advance(now):
                    self._follow(schedule, outcome, now)
            except LaunchJobError as err:
                self._log("error", schedule=schedule.name, error=err.message)
                heapq.heappush(queue, (now + _RETRY_AFTER, next(self._serial), timeline))
            else:
                self._enqueue(timeline)

    def _follow(self, schedule: Schedule, outcome: Outcome, now: datetime) -> None:
        late = round((now - schedule.fires_at(outcome.tick)).total_seconds(), 3)
        self._log("tick", schedule=schedule.name, late_s=late, **outcome.to_dict())
        if outcome.run_id:
            self._keepers.start(schedule, outcome)

    def take_up(self) -> None:
        """Start what looks after fired ticks again, where it has died before their end."""
        for timeline in self._timelines.values():
            for outcome in timeline.active():
                if not self._keepers.is_at_work(timeline.schedule, outcome):
                    self._log("taken up", schedule=timeline.schedule.name, run_id=outcome.run_id)
                    self._keepers.start(timeline.schedule, outcome)
