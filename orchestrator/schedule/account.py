"""Schedules and their ticks as people are told of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator.records.events import EventLog
from orchestrator.results.runs import state_of
from orchestrator.schedule.decision import Outcome
from orchestrator.schedule.definition import Schedule
from orchestrator.schedule.ending import Endings
from orchestrator.schedule.log import Log
from orchestrator.schedule.shelf import Shelf
from orchestrator.storage.storage import Storage


@dataclass(frozen=True, kw_only=True)
class TickAccount:
    """What became of one tick, and of its run."""

    #: The tick, in UTC.
    tick: datetime
    #: `fired`, `skipped`, `missed`; or `failed`: it was fired, and its run could not start.
    outcome: str
    #: Its run; None if there is none.
    run_id: str | None
    #: Why, in words.
    why: str
    #: The state of its run; `waiting` before it begins, None if there is none.
    state: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "tick": self.tick.isoformat(),
            "outcome": self.outcome,
            "run_id": self.run_id,
            "why": self.why,
            "state": self.state,
        }


@dataclass(frozen=True, kw_only=True)
class ScheduleAccount:
    """One schedule in a list."""

    #: The schedule.
    schedule: Schedule
    #: Its next tick; None if it is paused, or there is none.
    next_tick: datetime | None
    #: Its last tick; None before the first.
    last: TickAccount | None

    @property
    def last_state(self) -> str | None:
        """The state of the last tick's run, or what became of a tick without one."""
        if self.last is None:
            return None
        return self.last.state or self.last.outcome

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            **self.schedule.to_dict(),
            "paused": self.schedule.paused_at is not None,
            "next_tick": self.next_tick.isoformat() if self.next_tick else None,
            "last_tick": self.last.tick.isoformat() if self.last else None,
            "last_run": self.last.run_id if self.last else None,
            "last_state": self.last_state,
        }


def account(schedule: Schedule, shelf: Shelf, log: Log, now: datetime) -> ScheduleAccount:
    """Sum up a schedule.

    Args:
        schedule: The schedule.
        shelf: Where it is.
        log: The log, read.
        now: What the clock says.

    Raises:
        UnavailableError: The log is damaged, or can't be read.
    """
    tail = log.tail(schedule.key)
    last = tail.ticks[-1] if tail else None
    return ScheduleAccount(
        schedule=schedule,
        next_tick=None if schedule.paused_at else next(ticks_to_come(schedule, log, now), None),
        last=_account_of(last, shelf.endings(schedule.name), shelf.storage) if last else None,
    )


def ticks_to_come(schedule: Schedule, log: Log, now: datetime) -> Iterator[datetime]:
    """Yield the ticks after now that nothing was decided of yet, in UTC.

    Raises:
        UnavailableError: The log is damaged, or can't be read.
    """
    tail = log.tail(schedule.key)
    return schedule.ticks(max(now, schedule.since, tail.through if tail else now))


def ticks_so_far(schedule: Schedule, shelf: Shelf, log: Log) -> Iterator[TickAccount]:
    """Yield what became of each tick, newest first.

    Raises:
        UnavailableError: The log is damaged, or can't be read.
    """
    endings = shelf.endings(schedule.name)
    for entry in log.entries(schedule.key):
        for outcome in reversed(entry.ticks):
            yield _account_of(outcome, endings, shelf.storage)


def _account_of(outcome: Outcome, endings: Endings, storage: Storage) -> TickAccount:
    run_id, name, why = outcome.run_id, str(outcome.outcome), outcome.why
    state = None
    if run_id is not None:
        ending = endings.of(outcome)
        if ending is None:
            state = _state(run_id, storage)
        elif ending.state is None:
            name, run_id, why = "failed", None, ending.why or why
        else:
            state = ending.state.value
            why = f"{why}; {ending.why}" if ending.why else why
    return TickAccount(tick=outcome.tick, outcome=name, run_id=run_id, why=why, state=state)


def _state(run_id: str, storage: Storage) -> str:
    run = storage.run(run_id)
    events = EventLog(path=run.events).read()
    state = state_of(run, events) if events else None
    return state.value if state else "waiting"
