"""The time line of a run: which phase took how long, from the command to the record.

A phase is noted where it happens, in the process that does it. Whoever keeps a run's record takes
what was noted: the driver its own and, as news, those of the first worker, which has inherited what
the fork server noted before it forked. Times are those of each host's clock.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.records.events import Event


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One stretch of work; it may overlap others, of the same process or not."""

    #: What was done.
    name: str
    #: When it began, in seconds since 1970.
    began_s: float
    #: When it ended.
    ended_s: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended_s - self.began_s

    def to_details(self) -> dict[str, Any]:
        """Return it as the details of an event that happened at its end."""
        return {"phase": self.name, "seconds": round(self.seconds, 4)}

    @classmethod
    def of_event(cls, event: Event) -> Phase:
        """Build it from the event that was made of it."""
        ended_s, seconds = event.time.timestamp(), event.details["seconds"]
        return cls(name=event.details["phase"], began_s=ended_s - seconds, ended_s=ended_s)


@dataclass(frozen=True, kw_only=True)
class TimeLine:
    """The phases of a run, in the order in which they began."""

    #: When the command was given, in seconds since 1970.
    began_s: float
    #: The phases.
    phases: tuple[Phase, ...]

    @classmethod
    def of(cls, events: Iterable[Event]) -> TimeLine:
        """Read the phases that a run's log tells; a run that goes on has told some of them."""
        phases = [Phase.of_event(event) for event in events if event.event == "phase"]
        phases.sort(key=lambda phase: phase.began_s)
        return cls(began_s=phases[0].began_s if phases else 0.0, phases=tuple(phases))

    @property
    def seconds(self) -> float:
        """From the command to the end of the last phase."""
        return max((phase.ended_s for phase in self.phases), default=self.began_s) - self.began_s

    def totals(self) -> dict[str, float]:
        """Return the seconds of each kind of phase, however often it was gone through."""
        totals: dict[str, float] = {}
        for phase in self.phases:
            totals[phase.name] = totals.get(phase.name, 0.0) + phase.seconds
        return totals

    def to_list(self) -> list[dict[str, Any]]:
        """Return it as JSON values: phase, seconds after the command, seconds."""
        return [
            {
                "phase": phase.name,
                "after_s": round(phase.began_s - self.began_s, 4),
                "seconds": round(phase.seconds, 4),
            }
            for phase in self.phases
        ]

    @classmethod
    def from_list(cls, values: Iterable[Mapping[str, Any]]) -> TimeLine:
        """Build it from what `to_list` returned; the command was given at second 0."""
        phases = (
            Phase(name=v["phase"], began_s=v["after_s"], ended_s=v["after_s"] + v["seconds"])
            for v in values
        )
        return cls(began_s=0.0, phases=tuple(phases))


#: What this process has noted and nobody has taken yet. Appending is atomic, so threads may note.
_noted: list[Phase] = []


def note(name: str, began_s: float, ended_s: float | None = None) -> None:
    """Note a phase that is over.

    Args:
        name: What was done.
        began_s: When it began, in seconds since 1970.
        ended_s: When it ended; now, if it isn't said.
    """
    ended_s = time.time() if ended_s is None else ended_s
    _noted.append(Phase(name=name, began_s=began_s, ended_s=ended_s))


@contextlib.contextmanager
def phase(name: str) -> Iterator[None]:
    """Note what the block does as a phase, also if it fails."""
    began_s = time.time()
    try:
        yield
    finally:
        note(name, began_s)


def take_noted() -> list[Phase]:
    """Return what this process has noted since this was called last."""
    taken, _noted[:] = list(_noted), []
    return taken


def process_began_s() -> float:
    """Return when this process was started, in seconds since 1970 (Linux; elsewhere, now)."""
    try:
        # Fields after the name, which may have spaces: the 20th is the start, in ticks since boot.
        ticks = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
        up = time.clock_gettime(time.CLOCK_BOOTTIME) - int(ticks) / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, IndexError):
        return time.time()
    return time.time() - up


def at(seconds: float) -> datetime:
    """Return a time in seconds since 1970 as an event has it."""
    return datetime.fromtimestamp(seconds, UTC)
