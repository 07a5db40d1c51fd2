"""The rows of each step, as one worker reads them from its streams.

Rows are gathered for many steps at once: one gather costs the same few calls for two thousand
rows as for a hundred, and a step is then a slice of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.data.manifest import Manifest
from orchestrator.data.order import RowOrder
from orchestrator.data.plan import TrainingPlan
from orchestrator.data.shards import open_stream

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Bytes to gather at a time: enough rows to make calls cheap, few enough to stay in the cache.
_GATHER_BYTES = 2 << 20

#: Where arrays have to begin for TensorFlow to take them over without a copy.
_ALIGNMENT_BYTES = 64


@dataclass(frozen=True, kw_only=True)
class StepRows:
    """The rows that a worker holds in several steps of one epoch, one step after the other."""

    #: Epoch of all these steps.
    epoch: int
    #: The first step.
    first: int
    #: Rows of each step; 0 is possible.
    sizes: tuple[int, ...]
    #: `(sum(sizes), *shape)` for each column.
    columns: Mapping[str, NDArray[Any]]


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

        Raises:
            UnavailableError: A shard is missing or damaged.
        """
        for gathered in self.gathers(epoch=epoch, step=step):
            at = 0
            for size in gathered.sizes:
                yield {name: rows[at : at + size] for name, rows in gathered.columns.items()}
                at += size

    def gathers(self, *, epoch: int = 0, step: int = 0) -> Iterator[StepRows]:
        """Yield the same rows as `steps`, for as many steps of an epoch as are read at a time.

        Raises:
            UnavailableError: A shard is missing or damaged.
        """
        for number in range(epoch, self.plan.epochs):
            order = self.plan.order
            permutations = {
                stream: order.stream_permutation(seed=self.seed, epoch=number, stream=stream)
                for stream in self._streams
            }
            start = step if number == epoch else 0
            for first in range(start, self.plan.steps_per_epoch, self._steps_at_a_time):
                last = min(first + self._steps_at_a_time, self.plan.steps_per_epoch)
                sizes = [
                    self.plan.rows_of_worker(at, worker=self.worker) for at in range(first, last)
                ]
                columns = self._gather(permutations, first, last)
                yield StepRows(epoch=number, first=first, sizes=tuple(sizes), columns=columns)

    def any_row(self) -> dict[str, NDArray[Any]]:
        """Return one of the worker's rows: `(1, *shape)` for each column."""
        # Since a plan has at least as many rows as workers, stream `worker` is not empty.
        return {name: rows[:1] for name, rows in self._streams[self.worker].items()}

    def _gather(
        self, permutations: Mapping[int, NDArray[Any]], first: int, last: int
    ) -> dict[str, NDArray[Any]]:
        """Copy the worker's rows of steps `first` … `last` − 1 together, in the epoch's order."""
        order, size = self.plan.order, self.plan.batch_size
        begin, end = first * size, min(last * size, order.rows)
        before = order.rows_before(begin, worker=self.worker)
        count = order.rows_before(end, worker=self.worker) - before
        out = {
            name: _empty((count, *rows.shape[1:]), rows.dtype)
            for name, rows in self.any_row().items()
        }
        for place, (stream, columns) in enumerate(self._streams.items()):
            low, high = _rounds(order, begin, stream), _rounds(order, end, stream)
            picked = permutations[stream][low:high]
            # In each round of S rows, this stream's row is the worker's `place`-th.
            target = slice(low * len(self._streams) + place - before, None, len(self._streams))
            for name, rows in columns.items():
                # `take` copies rows twice as fast as an index does.
                out[name][target] = rows.take(picked, axis=0)
        return out

    @cached_property
    def _steps_at_a_time(self) -> int:
        row_bytes = sum(rows.nbytes for rows in self.any_row().values())
        step_bytes = row_bytes * self.plan.batch_size // self.plan.workers
        return max(1, _GATHER_BYTES // step_bytes)

    @cached_property
    def _streams(self) -> dict[int, dict[str, NDArray[Any]]]:
        own = self.plan.order.streams_of(self.worker)
        return {s: open_stream(self.folder, self.manifest, "train", s) for s in own}


def evaluation_batches(
    folder: Path,
    manifest: Manifest,
    *,
    worker: int,
    workers: int,
    split: str = "test",
    batch_rows: int = 1024,
) -> Iterator[tuple[int, dict[str, NDArray[Any]]]]:
    """Yield a worker's share of a split, stream by stream; batches never cross a stream.

    A stream is cut the same way whoever reads it, so what is computed from a batch doesn't
    depend on the number of workers.

    Args:
        folder: Folder of the prepared dataset.
        manifest: Its manifest.
        worker: Rank of the worker.
        workers: Number of workers.
        split: Name of the split.
        batch_rows: Most rows of a batch.

    Yields:
        The stream's number, and `(rows, *shape)`, read-only, for each column.

    Raises:
        UnavailableError: A shard is missing or damaged.
    """
    order = RowOrder(rows=manifest.rows(split), streams=manifest.streams, workers=workers)
    for stream in order.streams_of(worker):
        columns = open_stream(folder, manifest, split, stream)
        for first in range(0, manifest.splits[split][stream].rows, batch_rows):
            yield (
                stream,
                {name: rows[first : first + batch_rows] for name, rows in columns.items()},
            )


def _rounds(order: RowOrder, row: int, stream: int) -> int:
    """Return how many of the rows 0 … row − 1 of an epoch lie in a stream."""
    return max(0, -(-(row - stream) // order.streams))


def _empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return an uninitialized array that TensorFlow can take over without a copy."""
    import numpy as np

    size = math.prod(shape) * dtype.itemsize
    room = np.empty(size + _ALIGNMENT_BYTES, np.uint8)
    start = -room.ctypes.data % _ALIGNMENT_BYTES
    return room[start : start + size].view(dtype).reshape(shape)
