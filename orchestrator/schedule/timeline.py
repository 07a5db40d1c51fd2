"""One schedule as a loop sees it: what is decided, and which tick comes next."""

from __future__ import annotations

import contextlib
from datetime import datetime

from orchestrator.schedule.decision import Outcome, decide
from orchestrator.schedule.definition import MOST_MADE_UP, Schedule
from orchestrator.schedule.history import History, OvertakenError, Record

#: Most ticks that are decided at once, and that one record tells of.
_MOST_AT_ONCE = 2 * MOST_MADE_UP


class Timeline:
    """Decides the ticks of one schedule, one after the other, beside any number of others.

    Args:
        schedule: The schedule.
        history: Its log.

    Raises:
        UnavailableError: The log is damaged, or can't be read.
    """

    def __init__(self, schedule: Schedule, history: History) -> None:
        self.schedule = schedule
        self.history = history
        self._go_on_from(history.tail(since=schedule.since))

    def _go_on_from(self, last: Record) -> None:
        self._last, self._open = last, last.open
        self._ticks = self.schedule.ticks(max(self._last.through, self.schedule.since))
        self._pending: list[datetime] = []
        self._step()

    @property
    def fires_at(self) -> datetime | None:
        """When the next tick that is not decided is to fire; None if there is none."""
        following = self._pending[0] if self._pending else self._following
        return None if following is None else self.schedule.fires_at(following)

    def active(self) -> tuple[Outcome, ...]:
        """Return the fired ticks that have not ended, oldest first."""
        self._open = tuple(outcome for outcome in self._open if not self.history.ended(outcome))
        return self._open

    def advance(self, now: datetime) -> list[Outcome]:
        """Decide ticks that are due, and record what was decided.

        After a very long time that nobody looked, this is only a part of them: call it again while
        `fires_at` is not after now.

        Returns:
            The outcomes that were recorded.

        Raises:
            UnavailableError: The log is damaged, or can't be read or written.
        """
        while self._collect(now):
            with contextlib.suppress(OvertakenError):
                return self._decide(now)
            self._go_on_from(self.history.following(self._last))
        return []

    def _decide(self, now: datetime) -> list[Outcome]:
        due = self._pending
        outdated = len(due) == _MOST_AT_ONCE
        if outdated:
            due = due[: -self.schedule.catchup_limit]
        active = self.active()
        outcomes = decide(
            self.schedule,
            due,
            now=now,
            active=[outcome.run_id for outcome in active if outcome.run_id],
            outdated=outdated,
        )
        self._last = self.history.append(self._last, outcomes, through=due[-1], active=active)
        self._open = self._last.open
        self._pending = self._pending[len(due) :]
        return outcomes

    def _collect(self, now: datetime) -> bool:
        """Gather ticks that are due; return whether there are any."""
        while self._following is not None and len(self._pending) < _MOST_AT_ONCE:
            if self.schedule.fires_at(self._following) > now:
                break
            self._pending.append(self._following)
            self._step()
        return bool(self._pending)

    def _step(self) -> None:
        self._following = next(self._ticks, None)


def fire_now(schedule: Schedule, history: History, now: datetime) -> Outcome:
    """Record a tick that is asked for by hand, whatever is due.

    Raises:
        UnavailableError: The log is damaged, or can't be read or written.
    """
    outcome = Outcome(
        tick=now, outcome="fired", run_id=schedule.run_id(now), why="asked for by hand"
    )
    while True:
        last = history.tail(since=schedule.since)
        active = [one for one in last.open if not history.ended(one)]
        with contextlib.suppress(OvertakenError):
            history.append(last, [outcome], through=last.through, active=active)
            return outcome
