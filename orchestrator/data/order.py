"""One order of rows, whatever the number of workers.

A split of N rows lies in S streams of equal length (the first N mod S hold one row more).
Row g of an epoch is row g // S of a permutation of stream g mod S; stream s belongs to worker
s mod W. Everything about who reads what, when, follows from these two sentences, and this
module is the only place that does the arithmetic. It is pure: no files, no clock, no global
random state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def stream_rows(*, rows: int, streams: int, stream: int) -> int:
    """Return how many of `rows` rows the given stream holds."""
    return (rows - stream + streams - 1) // streams


#: Rounds of dealing that share one seed: rows are dealt in blocks of ROUNDS_PER_BLOCK · S.
ROUNDS_PER_BLOCK = 256


def deal_block(*, block: int, rows: int, streams: int, seed: int) -> NDArray[np.int64]:
    """Deal one block of consecutive rows out to the streams at random, in equal shares.

    Each round of S consecutive rows goes to the S streams in a random order; a last, shorter
    round of k rows goes to streams 0 … k − 1. So the shares differ by at most one row, and
    dealing needs memory for one block, never for the dataset.

    Args:
        block: Number of the block; all but the last hold ROUNDS_PER_BLOCK · S rows.
        rows: Rows in this block.
        streams: Number of streams, S.
        seed: Seed of the dealing.

    Returns:
        `(rows,)`: the stream of each row.
    """
    import numpy as np

    rounds, rest = divmod(rows, streams)
    bits = np.random.Philox(np.random.SeedSequence((seed, block))).random_raw(
        (rounds + 1) * streams
    )
    bits = bits.reshape(rounds + 1, streams)
    full = np.argsort(bits[:rounds], axis=1, kind="stable").reshape(-1)
    last = np.argsort(bits[rounds, :rest], kind="stable")
    return np.concatenate([full, last])


def deal(*, first: int, count: int, rows: int, streams: int, seed: int) -> NDArray[np.int64]:
    """Return the stream of each of some consecutive rows of one block.

    Row g of a split is row g // S of its stream, since each round gives each stream one row.

    Args:
        first: Number of the first of them in the split.
        count: How many.
        rows: Rows of the whole split.
        streams: Number of streams, S.
        seed: Seed of the dealing.
    """
    size = ROUNDS_PER_BLOCK * streams
    block, start = divmod(first, size)
    whole = deal_block(block=block, rows=min(size, rows - block * size), streams=streams, seed=seed)
    return whole[start : start + count]


def permutation(size: int, key: tuple[int, ...]) -> NDArray[np.int64]:
    """Return a permutation of `range(size)` that depends on nothing but `key`.

    It sorts raw Philox output instead of calling `Generator.permutation`, because NumPy promises
    the stream of a bit generator across releases (NEP 19) but not that of the distributions. Each
    number's low bits are those of its place, so no two are equal, whichever way they are sorted,
    and the places come out sorted with them; the bits above leave chance enough.

    Args:
        size: Number of items.
        key: Non-negative integers that seed it.
    """
    import numpy as np

    keys = np.random.Philox(np.random.SeedSequence(key)).random_raw(size)
    places = np.uint64((1 << max(size - 1, 0).bit_length()) - 1)
    keys &= ~places
    keys |= np.arange(size, dtype=np.uint64)
    keys.sort()
    keys &= places
    return keys.view(np.int64)


@dataclass(frozen=True, kw_only=True)
class RowOrder:
    """The order in which the rows of a split are read, and the share of each worker.

    Raises:
        ValueError: A number is not positive, or there are more workers than streams.
    """

    #: Rows of the split, N.
    rows: int
    #: Streams they lie in, S.
    streams: int
    #: Workers that read them, W.
    workers: int

    def __post_init__(self) -> None:
        if self.rows < 0 or self.streams < 1 or self.workers < 1:
            raise ValueError(f"not a row order: {self}")
        if self.workers > self.streams:
            raise ValueError(f"{self.workers} workers can't share {self.streams} streams")

    def streams_of(self, worker: int) -> range:
        """Return the streams that belong to a worker."""
        return range(worker, self.streams, self.workers)

    def rows_before(self, row: int, *, worker: int) -> int:
        """Return how many of the rows 0 … row − 1 of an epoch belong to a worker."""
        rounds, rest = divmod(row, self.streams)
        in_last_round = max(0, -(-(rest - worker) // self.workers))
        return rounds * len(self.streams_of(worker)) + in_last_round

    def stream_permutation(self, *, seed: int, epoch: int, stream: int) -> NDArray[np.int64]:
        """Return the order in which an epoch reads the rows of a stream."""
        size = stream_rows(rows=self.rows, streams=self.streams, stream=stream)
        return permutation(size, (seed, epoch, stream))
