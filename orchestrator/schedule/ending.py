"""How fired ticks ended: a file each, beside their schedule."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from orchestrator.schedule.decision import Outcome
from orchestrator.schedule.folder import ScheduleFolder
from orchestrator.states import RunState
from orchestrator.storage.atomic import read_json, write_json


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a fired tick ended."""

    #: The state of its run; None if the run never began.
    state: RunState | None
    #: When, in UTC.
    time: datetime
    #: What went wrong, in words; None if nothing did.
    why: str | None
    #: How often its run was started or taken up.
    attempts: int
    #: What came of telling about it: a line for each of `--notify`.
    notified: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "state": self.state,
            "time": self.time.isoformat(),
            "why": self.why,
            "attempts": self.attempts,
            "notified": list(self.notified),
        }


@dataclass(frozen=True, kw_only=True)
class Endings:
    """How the fired ticks of one schedule ended."""

    #: Where the schedule is.
    folder: ScheduleFolder

    def has(self, outcome: Outcome) -> bool:
        """Return whether a fired tick's end is recorded."""
        return os.path.exists(self.folder.end(_run_id(outcome)))  # noqa: PTH110

    def still_open(self, outcomes: tuple[Outcome, ...]) -> tuple[Outcome, ...]:
        """Return those of some fired ticks that have not ended, in their order."""
        return tuple(outcome for outcome in outcomes if not self.has(outcome))

    def record(self, outcome: Outcome, ending: Ending) -> None:
        """Record how a fired tick ended, unless its schedule has been removed.

        Raises:
            UnavailableError: The storage can't be written.
        """
        if self.folder.definition.exists():
            write_json(Path(self.folder.end(_run_id(outcome))), ending.to_dict())

    def of(self, outcome: Outcome) -> Ending | None:
        """Return how a fired tick ended; None if nobody has recorded that yet.

        Raises:
            UnavailableError: It is damaged, or can't be read.
        """
        if not self.has(outcome):
            return None
        values = read_json(Path(self.folder.end(_run_id(outcome))))
        return Ending(
            state=RunState(values["state"]) if values["state"] else None,
            time=datetime.fromisoformat(values["time"]),
            why=values["why"],
            attempts=values["attempts"],
            notified=tuple(values["notified"]),
        )


def _run_id(outcome: Outcome) -> str:
    assert outcome.run_id is not None
    return outcome.run_id
