"""How news of a run gets from rank 0 to whoever shows it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.records.timeline import Phase

#: What an update tells: that workers are ready, a step or an epoch is done, and so on.
UpdateKind = Literal[
    "phase", "ready", "first_step", "step", "epoch", "checkpoint", "stopping", "evaluating"
]


@dataclass(frozen=True, kw_only=True)
class Update:
    """One piece of news."""

    #: What it tells.
    kind: UpdateKind
    #: Seconds since 1970, UTC.
    time_s: float
    #: Epoch, from 0.
    epoch: int = 0
    #: Steps of this epoch that are done.
    step: int = 0
    #: Metrics: of this worker's rows during an epoch, of all rows at its end.
    metrics: Mapping[str, float] = field(default_factory=dict)
    #: The phase that is over.
    phase: Phase | None = None


class Mailbox:
    """Lives in an actor, so that neither side waits for the other.

    Its two methods are called at the same time, by a thread each.
    """

    def __init__(self) -> None:
        self._updates: list[Update] = []
        self._comes = threading.Condition()

    def publish(self, update: Update) -> None:
        """Leave an update."""
        with self._comes:
            self._updates.append(update)
            self._comes.notify()

    def drain(self, wait_s: float) -> list[Update]:
        """Take all updates that were left, oldest first; where there is none, wait for one.

        Args:
            wait_s: Most seconds to wait.
        """
        with self._comes:
            self._comes.wait_for(lambda: self._updates, wait_s)
            updates, self._updates = self._updates, []
        return updates
