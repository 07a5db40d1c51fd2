"""What becomes of the ticks that are due: a pure function of schedule, history and time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Literal

from orchestrator.schedule.definition import Schedule

#: A tick has a run; or it has none, because of a policy; or nobody looked at its time.
Fate = Literal["fired", "skipped", "missed"]

#: A tick is late when the following one is due too, or after so long.
GRACE = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one tick."""

    #: The tick, in UTC.
    tick: datetime
    #: What became of it.
    outcome: Fate
    #: Its run; None if it has none.
    run_id: str | None = None
    #: Why, in words.
    why: str
    #: Runs that have to end before its own begins.
    after: tuple[str, ...] = ()

    @cached_property
    def as_dict(self) -> Mapping[str, Any]:
        """It as JSON values; made once, since a fired tick is recorded until its run is over."""
        return {
            "tick": self.tick.isoformat(),
            "outcome": self.outcome,
            "run_id": self.run_id,
            "why": self.why,
            "after": list(self.after),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Outcome:
        """Build it from JSON values.

        Raises:
            KeyError: A key is missing.
            ValueError: The tick is no time.
        """
        return cls(
            tick=datetime.fromisoformat(values["tick"]),
            outcome=values["outcome"],
            run_id=values["run_id"],
            why=values["why"],
            after=tuple(values["after"]),
        )


def decide(
    schedule: Schedule,
    due: Sequence[datetime],
    *,
    now: datetime,
    active: Sequence[str],
    outdated: bool = False,
) -> list[Outcome]:
    """Decide what becomes of ticks that are due, and that nothing was decided of yet.

    Args:
        schedule: Their schedule.
        due: The ticks, in their order; at least one.
        now: What the clock says.
        active: Runs of the schedule that have not ended, those that wait included, oldest first.
        outdated: Whether more later ticks are due too than can be made up for.

    Returns:
        One outcome for each tick, in their order.
    """
    if schedule.paused_at:
        why = f"paused since {schedule.paused_at.isoformat(timespec='seconds')}"
        return [_skipped(tick, why) for tick in due]
    last = len(due) - 1
    on_time = now - schedule.fires_at(due[last]) <= GRACE
    made_up = 0 if outdated else _made_up(schedule, on_time=on_time)
    going = list(active)
    outcomes = []
    for number, tick in enumerate(due):
        if number > last - made_up:
            late = not (on_time and number == last)
            outcome = _fire(schedule, tick, going, why=_late(tick, now) if late else "due")
        else:
            why = f"{_late(tick, now)}, and --misfire is {schedule.misfire}"
            outcome = Outcome(tick=tick, outcome="missed", why=why)
        if outcome.run_id:
            going.append(outcome.run_id)
        outcomes.append(outcome)
    return outcomes


def _made_up(schedule: Schedule, *, on_time: bool) -> int:
    """Return how many of the last ticks that are due `--misfire` has fired, at most."""
    if schedule.misfire == "all":
        return schedule.catchup_limit
    return 1 if on_time or schedule.misfire == "latest" else 0


def _fire(schedule: Schedule, tick: datetime, going: Sequence[str], *, why: str) -> Outcome:
    """Return the outcome of a tick that `--overlap` may still keep from firing."""
    after: tuple[str, ...] = ()
    if going and schedule.overlap != "allow":
        first, waiting = going[0], len(going) - 1
        if schedule.overlap == "skip":
            return _skipped(tick, f"run {first} is not over")
        if schedule.overlap == "replace":
            if waiting:
                return _skipped(tick, f"run {going[-1]} is still waiting to replace {first}")
            why, after = f"{why}, replaces run {first}", (first,)
        elif waiting >= schedule.catchup_limit:
            return _skipped(tick, f"{waiting} ticks are waiting already")
        else:
            why, after = f"{why}, waits for run {going[-1]}", tuple(going)
    run_id = schedule.run_id(tick)
    return Outcome(tick=tick, outcome="fired", run_id=run_id, why=why, after=after)


def _skipped(tick: datetime, why: str) -> Outcome:
    return Outcome(tick=tick, outcome="skipped", why=why)


def _late(tick: datetime, now: datetime) -> str:
    seconds = int((now - tick).total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} late"
    return f"{seconds} s late"
