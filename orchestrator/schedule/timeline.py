"""One schedule as a loop sees it: what is decided, and which tick comes next."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime

from orchestrator.schedule.decision import Outcome, decide
from orchestrator.schedule.definition import MOST_MADE_UP, Schedule
from orchestrator.schedule.ending import Endings
from orchestrator.schedule.log import Entry, Log, OvertakenError

#: Most ticks that are decided at once.
_MOST_AT_ONCE = 2 * MOST_MADE_UP


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What is to be recorded of a schedule; it counts when it is in the log."""

    #: The schedule's entry of the next record.
    entry: Entry
    #: How many of the pending ticks it decides.
    decided: int


class Timeline:
    """Decides the ticks of one schedule, one after the other, beside any number of others.

    Args:
        schedule: The schedule.
        log: The log, read.
        endings: How its ticks ended.

    Raises:
        UnavailableError: The log is damaged, or can't be read.
    """

    def __init__(self, schedule: Schedule, log: Log, endings: Endings) -> None:
        self.schedule = schedule
        self._log = log
        self._endings = endings
        self.go_on()

    def go_on(self) -> None:
        """Go on from what the log says."""
        tail = self._log.tail(self.schedule.key)
        self._through = max(tail.through, self.schedule.since) if tail else self.schedule.since
        self._open = tail.open if tail else ()
        self._ticks = self.schedule.ticks(self._through)
        self._pending: list[datetime] = []
        self._step()

    @property
    def fires_at(self) -> datetime | None:
        """When the next tick that is not decided is to fire; None if there is none."""
        following = self._pending[0] if self._pending else self._following
        return None if following is None else self.schedule.fires_at(following)

    def active(self) -> tuple[Outcome, ...]:
        """Return the fired ticks that have not ended, oldest first."""
        self._open = self._endings.still_open(self._open)
        return self._open

    def draft(self, now: datetime) -> Draft | None:
        """Decide the ticks that are due.

        After a very long time that nobody looked, this is only a part of them.

        Returns:
            What is to be recorded; None if no tick is due.
        """
        due = self._due(now)
        if not due:
            return None
        outdated = len(due) == _MOST_AT_ONCE
        if outdated:
            due = due[: -self.schedule.catchup_limit]
        active = self.active()
        going = [outcome.run_id for outcome in active if outcome.run_id]
        outcomes = decide(self.schedule, due, now=now, active=going, outdated=outdated)
        entry = Entry(
            previous=self._log.number_of_last(self.schedule.key),
            through=due[-1],
            before=active,
            ticks=tuple(outcomes),
        )
        return Draft(entry=entry, decided=len(due))

    def commit(self, draft: Draft) -> None:
        """Take for decided what has been recorded."""
        self._pending = self._pending[draft.decided :]
        self._open = draft.entry.open

    def _due(self, now: datetime) -> list[datetime]:
        while self._following is not None and len(self._pending) < _MOST_AT_ONCE:
            if self.schedule.fires_at(self._following) > now:
                break
            self._pending.append(self._following)
            self._step()
        return self._pending

    def _step(self) -> None:
        self._following = next(self._ticks, None)


def settle(schedule: Schedule, log: Log, endings: Endings, now: datetime) -> None:
    """Decide all that is due of one schedule, as a loop would; nothing is started.

    Raises:
        UnavailableError: The log is damaged, or can't be read or written.
    """
    log.read_on()
    timeline = Timeline(schedule, log, endings)
    while draft := timeline.draft(now):
        try:
            log.append({schedule.key: draft.entry})
            timeline.commit(draft)
        except OvertakenError:
            log.read_on()
            timeline.go_on()


def fire_now(schedule: Schedule, log: Log, endings: Endings, now: datetime) -> Outcome:
    """Record a tick that is asked for by hand, whatever is due.

    Raises:
        UnavailableError: The log is damaged, or can't be read or written.
    """
    run_id = schedule.run_id(now)
    outcome = Outcome(tick=now, outcome="fired", run_id=run_id, why="asked for by hand")
    while True:
        log.read_on()
        tail = log.tail(schedule.key)
        entry = Entry(
            previous=log.number_of_last(schedule.key),
            through=tail.through if tail else schedule.since,
            before=endings.still_open(tail.open) if tail else (),
            ticks=(outcome,),
        )
        with contextlib.suppress(OvertakenError):
            log.append({schedule.key: entry})
            return outcome
