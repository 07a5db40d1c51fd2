"""The rows of each step, as one worker reads them from its streams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.data.manifest import Manifest
from orchestrator.data.order import RowOrder
from orchestrator.data.plan import TrainingPlan
from orchestrator.data.shards import open_stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Rows to gather at a time: many enough that the cost of a gather is that of copying.
_GATHER_ROWS = 2048


@dataclass(frozen=True, kw_only=True)
class StepReader:
    """Reads the rows that one worker holds in each step, in the order of the plan."""

    #: Folder of the prepared dataset.
    folder: Path
    #: Its manifest.
    manifest: Manifest
    #: The steps.
    plan: TrainingPlan
    #: Rank of the worker.
    worker: int
    #: Seed of the order.
    seed: int

    def steps(self, *, epoch: int = 0, step: int = 0) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield the rows of each step from a position to the end of the plan.

        Args:
            epoch: Epoch to begin with, from 0.
            step: Step of that epoch to begin with.

        Yields:
            `(rows, *shape)` for each column; `rows` is what the plan says for the worker and step.
        """
        for number in range(epoch, self.plan.epochs):
            yield from self._epoch(number, step if number == epoch else 0)

    def any_row(self) -> dict[str, NDArray[Any]]:
        """Return one of the worker's rows: `(1, *shape)` for each column."""
        return {name: values[:1] for name, values in self._streams[0].items()}

    def _epoch(self, epoch: int, start: int) -> Iterator[dict[str, NDArray[Any]]]:
        permutations = [
            self.plan.order.stream_permutation(seed=self.seed, epoch=epoch, stream=stream)
            for stream in self.plan.order.streams_of(self.worker)
        ]
        gather_steps = max(1, _GATHER_ROWS * self.plan.workers // self.plan.batch_size)
        for first in range(start, self.plan.steps_per_epoch, gather_steps):
            last = min(first + gather_steps, self.plan.steps_per_epoch)
            rows = self._gather(permutations, first, last)
            at = 0
            for step in range(first, last):
                size = self.plan.rows_of_worker(step, worker=self.worker)
                yield {name: values[at : at + size] for name, values in rows.items()}
                at += size

    def _gather(
        self, permutations: list[NDArray[Any]], first: int, last: int
    ) -> dict[str, NDArray[Any]]:
        """Copy the worker's rows of steps `first` … `last` − 1 together, in the epoch's order."""
        import numpy as np

        order, size = self.plan.order, self.plan.batch_size
        begin, end = first * size, min(last * size, order.rows)
        before = order.rows_before(begin, worker=self.worker)
        count = order.rows_before(end, worker=self.worker) - before
        out = {
            name: np.empty((count, *values.shape[1:]), values.dtype)
            for name, values in self._streams[0].items()
        }
        own = order.streams_of(self.worker)
        for place, stream in enumerate(own):
            low, high = _rounds(order, begin, stream), _rounds(order, end, stream)
            picked = permutations[place][low:high]
            # In each round of S rows, this stream's row is the worker's `place`-th.
            target = low * len(own) + place - before
            for name, values in self._streams[place].items():
                out[name][target :: len(own)][: len(picked)] = values[picked]
        return out

    @cached_property
    def _streams(self) -> list[dict[str, NDArray[Any]]]:
        own = self.plan.order.streams_of(self.worker)
        return [open_stream(self.folder, self.manifest, "train", stream) for stream in own]


def evaluation_batches(
    folder: Path, manifest: Manifest, *, worker: int, workers: int, rows: int = 1024
) -> Iterator[tuple[int, dict[str, NDArray[Any]]]]:
    """Yield a worker's share of the test split; batches never cross a stream.

    Since a stream is cut the same way whoever reads it, what is computed of a batch does not
    depend on the number of workers.

    Args:
        folder: Folder of the prepared dataset.
        manifest: Its manifest.
        worker: Rank of the worker.
        workers: Number of workers.
        rows: Most rows of a batch.

    Yields:
        The stream's number, and `(rows, *shape)` for each column.
    """
    order = RowOrder(rows=manifest.rows("test"), streams=manifest.streams, workers=workers)
    for stream in order.streams_of(worker):
        columns = open_stream(folder, manifest, "test", stream)
        for first in range(0, manifest.splits["test"][stream].rows, rows):
            yield stream, {name: values[first : first + rows] for name, values in columns.items()}


def _rounds(order: RowOrder, row: int, stream: int) -> int:
    """Return how many rows of a stream come before a row of the epoch."""
    return max(0, -(-(row - stream) // order.streams))
