"""The metrics of an epoch while it goes on: a line every so many steps.

Rank 0 of each attempt writes a file of its own, so nothing is lost with whoever listens. A step
that an attempt took again, since it began with a checkpoint before it, counts as the last one tells
it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.storage.atomic import storage_errors
from orchestrator.storage.run_folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class MetricLog:
    """The file of one attempt."""

    #: The file.
    path: Path

    def append(self, *, epoch: int, step: int, metrics: Mapping[str, float]) -> None:
        """Write a line.

        Args:
            epoch: Number of the epoch, from 1.
            step: Steps of it that are done.
            metrics: Means over this rank's rows of the epoch so far.

        Raises:
            UnavailableError: The storage can't be written.
        """
        line = json.dumps({"epoch": epoch, "step": step, **metrics})
        with storage_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a") as file:
                file.write(line + "\n")

    def read(self) -> list[dict[str, Any]]:
        """Return all whole lines; a crash may have cut the last one off.

        Raises:
            UnavailableError: The file can't be read.
        """
        found = []
        with storage_errors(self.path):
            text = self.path.read_text() if self.path.is_file() else ""
        for line in text.splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found


def running_metrics(run: RunFolder) -> list[dict[str, Any]]:
    """Return what a run's attempts have told: epoch, step and metrics, in this order.

    Raises:
        UnavailableError: A file can't be read.
    """
    told: dict[tuple[int, int], dict[str, Any]] = {}
    for attempt in run.attempts():
        for entry in MetricLog(path=attempt.metrics).read():
            told[entry["epoch"], entry["step"]] = entry
    return [told[place] for place in sorted(told)]
