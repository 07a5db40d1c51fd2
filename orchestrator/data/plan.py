"""The plan of a run's steps, known and checked before the first one is taken."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.data.order import RowOrder
from orchestrator.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """Which rows each step of each epoch trains on, and how many of them each worker holds.

    Raises:
        UsageError: The numbers can't make a plan; the message says which and what would.
    """

    #: Rows of the training split, N.
    rows: int
    #: Streams they lie in, S.
    streams: int
    #: Workers, W.
    workers: int
    #: Rows of a global batch, B.
    batch_size: int
    #: Number of passes over the rows.
    epochs: int

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise UsageError(f"--workers must be at least 1, not {self.workers}.")
        if self.epochs < 1:
            raise UsageError(f"--epochs must be at least 1, not {self.epochs}.")
        if self.workers > self.streams:
            raise UsageError(
                f"{self.workers} workers can't share {self.streams} streams: "
                "each worker needs a stream of its own.",
                hint=f"Use at most {self.streams} workers, or --streams {self.workers} or more.",
            )
        if self.batch_size < self.workers:
            raise UsageError(
                f"A global batch of {self.batch_size} rows is smaller than {self.workers} workers: "
                "some would have nothing to do.",
                hint=f"Use --batch-size {self.workers} or more, or fewer workers.",
            )
        if self.rows < self.workers:
            raise UsageError(
                f"The training split has {self.rows} rows, too few for {self.workers} workers."
            )

    @property
    def order(self) -> RowOrder:
        """The order of rows that the plan follows."""
        return RowOrder(rows=self.rows, streams=self.streams, workers=self.workers)

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one epoch; the last may be shorter than a global batch."""
        return -(-self.rows // self.batch_size)

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.steps_per_epoch * self.epochs

    def rows_of_step(self, step: int) -> int:
        """Return how many rows a step of an epoch trains on, over all workers."""
        return min(self.batch_size, self.rows - step * self.batch_size)

    @property
    def every_worker_has_rows(self) -> bool:
        """Whether each worker holds at least one row of every step."""
        # Whole steps repeat their shares after S steps at the latest, since S · B rows are B
        # rounds; only the last step may be another.
        last = self.steps_per_epoch - 1
        return all(
            self.rows_of_worker(step, worker=worker)
            for worker in range(self.workers)
            for step in (*range(min(last, self.streams)), last)
        )

    def rows_of_worker(self, step: int, *, worker: int) -> int:
        """Return how many rows of a step a worker holds.

        0 is possible: in the last step, and elsewhere if the workers' numbers of streams differ.
        """
        first = step * self.batch_size
        end = first + self.rows_of_step(step)
        order = self.order
        return order.rows_before(end, worker=worker) - order.rows_before(first, worker=worker)
