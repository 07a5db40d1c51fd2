"""The folder of one attempt of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.storage.run_folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class AttemptFolder:
    """What one group of workers leaves, and is asked, apart from those before and after it.

    A worker that its driver has given up, behind a network that is cut, may still write: it writes
    where nobody looks any more.
    """

    #: The run that the attempt belongs to.
    run: RunFolder
    #: Number of the attempt, from 1.
    number: int

    @property
    def path(self) -> Path:
        """The attempt's own folder."""
        return self.run.path / "attempts" / f"{self.number:04d}"

    @property
    def resize_request(self) -> Path:
        """There if the workers are to pause, so that another number of them goes on."""
        return self.path / "resize.json"

    def preemption(self, rank: int) -> Path:
        """Return the file in which a rank says that it was told to end."""
        return self.path / f"preempted-{rank:04d}.json"

    def preemptions(self) -> list[Path]:
        """Return the files of all ranks that were told to end, in the order of the ranks."""
        return sorted(self.path.glob("preempted-*.json"))

    def failure(self, rank: int) -> Path:
        """Return the file in which a rank says why it failed."""
        return self.path / f"failure-{rank:04d}.json"

    def failures(self) -> list[Path]:
        """Return the files of all ranks that failed, in the order of the ranks."""
        return sorted(self.path.glob("failure-*.json"))

    @property
    def metrics(self) -> Path:
        """A line every so many steps, with rank 0's metrics of the epoch so far."""
        return self.path / "metrics.jsonl"

    def predictions(self, rank: int) -> Path:
        """Return the file of what a rank said of each of its test rows."""
        return self.path / f"predictions-{rank:04d}.arrow"

    def result(self, rank: int) -> Path:
        """Return the file of what a rank did and counted; it is there when the rank is done."""
        return self.path / f"result-{rank:04d}.json"
