"""The rows of steps, as one worker reads them from its streams."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from orchestrator.data.aligned import aligned
from orchestrator.data.cache import Shards
from orchestrator.data.manifest import Manifest
from orchestrator.data.order import RowOrder
from orchestrator.data.plan import TrainingPlan

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class StepReader:
    """Reads the rows that one worker holds in each step, in the order of the plan.

    Several threads may read at once.
    """

    #: The shards of the prepared dataset.
    shards: Shards
    #: The steps.
    plan: TrainingPlan
    #: Rank of the worker.
    worker: int
    #: Seed of the order.
    seed: int
    #: Held while an epoch's order is made, which several readers of its first rows ask for.
    _ordering: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    @property
    def manifest(self) -> Manifest:
        """What the shards hold."""
        return self.shards.manifest

    def steps(self, *, epoch: int = 0, step: int = 0) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield the rows of each step from a position to the end of the plan.

        Args:
            epoch: Epoch to begin with, from 0.
            step: Step of that epoch to begin with.

        Yields:
            What `read` returns, for one step, of all columns.

        Raises:
            UnavailableError: A shard is missing or damaged.
        """
        for number in range(epoch, self.plan.epochs):
            for at in range(step if number == epoch else 0, self.plan.steps_per_epoch):
                yield self.read(epoch=number, first=at, last=at + 1, columns=self.any_row())

    def read(
        self, *, epoch: int, first: int, last: int, columns: Collection[str]
    ) -> dict[str, NDArray[Any]]:
        """Copy the worker's rows of some steps of an epoch together, one step after the other.

        Args:
            epoch: The epoch, from 0.
            first: The first step.
            last: The step after the last one.
            columns: Names of the columns to read.

        Returns:
            `(rows, *shape)` for each column, aligned so that TensorFlow takes it without a copy;
            `rows` is what the plan says for the worker and the steps.

        Raises:
            UnavailableError: A shard is missing or damaged.
        """
        with self._ordering:
            permutations = self._permutations(epoch)
        order, size = self.plan.order, self.plan.batch_size
        begin, end = first * size, min(last * size, order.rows)
        before = order.rows_before(begin, worker=self.worker)
        count = order.rows_before(end, worker=self.worker) - before
        out = {
            name: aligned((count, *rows.shape[1:]), rows.dtype)
            for name, rows in self.any_row().items()
            if name in columns
        }
        own = order.streams_of(self.worker)
        for place, stream in enumerate(own):
            low, high = _rounds(order, begin, stream), _rounds(order, end, stream)
            if low == high:
                continue
            held = self.shards.open("train", stream)
            picked = permutations[stream][low:high]
            # In each round of S rows, this stream's row is the worker's `place`-th.
            target = slice(low * len(own) + place - before, None, len(own))
            for name, rows in out.items():
                # `take` copies rows twice as fast as an index does.
                rows[target] = held[name].take(picked, axis=0)
        return out

    def any_row(self) -> dict[str, NDArray[Any]]:
        """Return one of the worker's rows: `(1, *shape)` for each column.

        Raises:
            UnavailableError: A shard is missing or damaged.
        """
        # Since a plan has at least as many rows as workers, stream `worker` is not empty.
        return {name: rows[:1] for name, rows in self.shards.open("train", self.worker).items()}

    @cached_property
    def _permutations(self) -> Callable[[int], Mapping[int, NDArray[np.int64]]]:
        """Returns the order of an epoch's rows in each of the worker's streams."""

        # Where one epoch ends and the next begins, steps of both are read.
        @lru_cache(maxsize=2)
        def permutations(epoch: int) -> Mapping[int, NDArray[np.int64]]:
            order = self.plan.order
            return {
                stream: order.stream_permutation(seed=self.seed, epoch=epoch, stream=stream)
                for stream in order.streams_of(self.worker)
            }

        return permutations


def evaluation_batches(
    shards: Shards,
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
        shards: The shards of the prepared dataset.
        worker: Rank of the worker.
        workers: Number of workers.
        split: Name of the split.
        batch_rows: Most rows of a batch.

    Yields:
        The stream's number, and `(rows, *shape)`, read-only, for each column.

    Raises:
        UnavailableError: A shard is missing or damaged.
    """
    manifest = shards.manifest
    order = RowOrder(rows=manifest.rows(split), streams=manifest.streams, workers=workers)
    for stream in order.streams_of(worker):
        columns = shards.open(split, stream)
        for first in range(0, manifest.splits[split][stream].rows, batch_rows):
            yield (
                stream,
                {name: rows[first : first + batch_rows] for name, rows in columns.items()},
            )


def _rounds(order: RowOrder, row: int, stream: int) -> int:
    """Return how many of the rows 0 … row − 1 of an epoch lie in a stream."""
    return max(0, -(-(row - stream) // order.streams))
