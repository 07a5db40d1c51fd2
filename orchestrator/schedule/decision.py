"""What becomes of the ticks that are due: a pure function of schedule, history and time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
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

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
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
        return [Outcome(tick=tick, outcome="skipped", why=why) for tick in due]
    on_time = now - schedule.fires_at(due[-1]) <= GRACE
    chosen = set() if outdated else set(_chosen(schedule, due, on_time=on_time))
    going = list(active)
    outcomes = []
    for tick in due:
        if tick in chosen:
            late = not (on_time and tick == due[-1])
            outcome = _fire(schedule, tick, going, why=_late(tick, now) if late else "due")
        else:
            why = f"{_late(tick, now)}, and --misfire is {schedule.misfire}"
            outcome = Outcome(tick=tick, outcome="missed", why=why)
        if outcome.run_id:
            going.append(outcome.run_id)
        outcomes.append(outcome)
    return outcomes


def _chosen(schedule: Schedule, due: Sequence[datetime], *, on_time: bool) -> Sequence[datetime]:
    """Return the ticks that `--misfire` has fired."""
    if schedule.misfire == "all":
        return due[-schedule.catchup_limit :]
    return due[-1:] if on_time or schedule.misfire == "latest" else ()


def _fire(schedule: Schedule, tick: datetime, going: Sequence[str], *, why: str) -> Outcome:
    """Return the outcome of a tick that `--overlap` may still keep from firing."""

    def fired(why: str, after: tuple[str, ...] = ()) -> Outcome:
        run_id = schedule.run_id(tick)
        return Outcome(tick=tick, outcome="fired", run_id=run_id, why=why, after=after)

    def skipped(because: str) -> Outcome:
        return Outcome(tick=tick, outcome="skipped", why=because)

    if not going or schedule.overlap == "allow":
        return fired(why)
    first, waiting = going[0], len(going) - 1
    if schedule.overlap == "skip":
        return skipped(f"run {first} is not over")
    if schedule.overlap == "replace":
        if waiting:
            return skipped(f"run {going[-1]} is still waiting to replace {first}")
        return fired(f"{why}, replaces run {first}", (first,))
    if waiting >= schedule.catchup_limit:
        return skipped(f"{waiting} ticks are waiting already")
    return fired(f"{why}, waits for run {going[-1]}", tuple(going))


def _late(tick: datetime, now: datetime) -> str:
    seconds = int((now - tick).total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} late"
    return f"{seconds} s late"
