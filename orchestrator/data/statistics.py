"""Mean, variance and vocabulary of scalar columns, computed once over the training shards.

Preprocessing layers get their state from here, so it is the same on every worker, whatever their
number. Streams are merged in their order by the formula of Chan, Golub and LeVeque (1979), which
loses no digits where the mean is large.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.catalog.info import Statistics
from orchestrator.data.manifest import Manifest
from orchestrator.data.shards import open_stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Words of a vocabulary: the most frequent ones; the others are as unknown as new ones.
MOST_WORDS = 10_000


def statistics_of(folder: Path, manifest: Manifest) -> dict[str, Statistics]:
    """Return the statistics of each scalar feature.

    Args:
        folder: Folder of the shards.
        manifest: What is in it.

    Raises:
        UnavailableError: A shard can't be read.
    """
    counts: dict[str, _Numbers | _Words] = {
        column.name: _Words() if column.is_text else _Numbers()
        for column in manifest.features
        if not column.shape
    }
    for stream in range(manifest.streams) if counts else ():
        rows = open_stream(folder, manifest, "train", stream)
        for name, count in counts.items():
            count.add(rows[name])
    return {name: count.finish() for name, count in counts.items()}


class _Numbers:
    """Mean and variance of the numbers that were added."""

    def __init__(self) -> None:
        self._missing, self._count, self._mean, self._squares = 0, 0, 0.0, 0.0

    def add(self, stored: NDArray[Any]) -> None:
        import numpy as np

        values = stored.astype(np.float64)
        held = values[~np.isnan(values)]
        self._missing += len(values) - len(held)
        if not len(held):
            return
        here = float(held.mean())
        gap, total = here - self._mean, self._count + len(held)
        self._squares += float(np.square(held - here).sum())
        self._squares += gap * gap * self._count * len(held) / total
        self._mean += gap * len(held) / total
        self._count = total

    def finish(self) -> Statistics:
        variance = self._squares / self._count if self._count else 0.0
        return Statistics(missing=self._missing, mean=self._mean, variance=variance)


class _Words:
    """How often each of the words was added."""

    def __init__(self) -> None:
        self._counts: Counter[bytes] = Counter()

    def add(self, values: NDArray[Any]) -> None:
        import numpy as np

        words, seen = np.unique(values, return_counts=True)
        self._counts.update(dict(zip(words.tolist(), seen.tolist(), strict=True)))

    def finish(self) -> Statistics:
        counts = Counter(self._counts)
        missing = counts.pop(b"", 0)
        frequent = sorted(counts, key=lambda word: (-counts[word], word))[:MOST_WORDS]
        return Statistics(missing=missing, vocabulary=tuple(word.decode() for word in frequent))
