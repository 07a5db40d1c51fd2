"""What a worker is told, and what it leaves behind."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from orchestrator.catalog import Declaration
from orchestrator.data.manifest import Manifest
from orchestrator.data.plan import TrainingPlan
from orchestrator.records.predictions import Predictions
from orchestrator.records.tally import Tally
from orchestrator.spec import RunSpec
from orchestrator.storage.atomic import read_json, write_json
from orchestrator.storage.attempt import AttemptFolder
from orchestrator.storage.objects import Objects
from orchestrator.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from ray.actor import ActorHandle


@dataclass(frozen=True, kw_only=True)
class WorkerTask:
    """Everything that all workers of an attempt are told."""

    #: The run, as it was asked for.
    spec: RunSpec
    #: Where the job is declared; workers load it again.
    job: Declaration
    #: Folder of the prepared dataset; of its copies, if it lies elsewhere.
    dataset: Path
    #: The attempt, and with it the run.
    attempt: AttemptFolder
    #: What to compute on.
    device: Literal["cpu", "gpu"]
    #: Threads to compute with.
    threads: int
    #: Versions of Python and of packages that it has to compute with.
    versions: Mapping[str, str] = field(default_factory=dict)
    #: Where the dataset lies, if that isn't the folder.
    objects: Objects | None = None
    #: Name of the checkpoint to go on from; None: from the beginning.
    checkpoint: str | None = None
    #: When the attempt was begun, in seconds since 1970, by the driver's clock.
    asked_s: float = field(default_factory=time.time)
    #: Actor that takes `Update`s from rank 0.
    mailbox: ActorHandle[Any] | None = None

    @property
    def run(self) -> RunFolder:
        """Folder of the run."""
        return self.attempt.run

    def plan(self, manifest: Manifest, *, workers: int) -> TrainingPlan:
        """Return the plan of this run on a number of workers."""
        return TrainingPlan(
            rows=manifest.rows("train"),
            streams=manifest.streams,
            workers=workers,
            batch_size=self.spec.batch_size,
            epochs=self.spec.epochs,
        )


@dataclass(frozen=True, kw_only=True)
class WorkerResult:
    """What one worker did and counted; written where the driver finds it."""

    #: Rank of the worker.
    rank: int
    #: Steps that the optimizer has taken in the whole run.
    steps: int
    #: Rows that this worker has trained on since it started.
    rows_seen: int
    #: Metrics of each epoch of the run.
    history: tuple[Mapping[str, float], ...]
    #: Tally of each of its streams of the test split.
    tallies: Mapping[int, Tally]
    #: What the model said of each of its test rows.
    predictions: Predictions

    def write(self, attempt: AttemptFolder) -> None:
        """Write it to the attempt's folder; the last file says that all is there."""
        self.predictions.write(attempt.predictions(self.rank))
        same = ("rank", "steps", "rows_seen", "history")
        tallies = {str(stream): tally.to_dict() for stream, tally in self.tallies.items()}
        values = {**{key: getattr(self, key) for key in same}, "tallies": tallies}
        write_json(attempt.result(self.rank), values)

    @classmethod
    def read(cls, attempt: AttemptFolder, rank: int) -> WorkerResult:
        """Read what `write` wrote.

        Raises:
            UnavailableError: It isn't there, or is damaged.
        """
        values = read_json(attempt.result(rank))
        tallies = {int(s): Tally.from_dict(tally) for s, tally in values["tallies"].items()}
        return cls(
            **{**values, "history": tuple(values["history"]), "tallies": tallies},
            predictions=Predictions.read(attempt.predictions(rank)),
        )
