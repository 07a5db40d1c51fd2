"""Mean, variance and vocabulary of scalar columns, computed once over the training shards.

Preprocessing layers get their state from here, so it is the same on every worker, whatever their
number. Streams are merged in their order by the formula of Chan, Golub and LeVeque (1979), which
loses no digits where the mean is large.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.catalog.info import Column, Statistics
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
    return {
        column.name: (_of_text if column.is_text else _of_numbers)(
            _streams(folder, manifest, column)
        )
        for column in manifest.features
        if not column.shape
    }


def _streams(folder: Path, manifest: Manifest, column: Column) -> Iterator[NDArray[Any]]:
    for stream in range(manifest.streams):
        yield open_stream(folder, manifest, "train", stream)[column.name]


def _of_numbers(streams: Iterator[NDArray[Any]]) -> Statistics:
    import numpy as np

    missing, count, mean, squares = 0, 0, 0.0, 0.0
    for stored in streams:
        values = stored.astype(np.float64)
        held = values[~np.isnan(values)]
        missing += len(values) - len(held)
        if not len(held):
            continue
        here = float(held.mean())
        gap, total = here - mean, count + len(held)
        squares += float(np.square(held - here).sum()) + gap * gap * count * len(held) / total
        mean += gap * len(held) / total
        count = total
    return Statistics(missing=missing, mean=mean, variance=squares / count if count else 0.0)


def _of_text(streams: Iterator[NDArray[Any]]) -> Statistics:
    import numpy as np

    counts: Counter[bytes] = Counter()
    for values in streams:
        words, seen = np.unique(values, return_counts=True)
        counts.update(dict(zip(words.tolist(), seen.tolist(), strict=True)))
    missing = counts.pop(b"", 0)
    frequent = sorted(counts, key=lambda word: (-counts[word], word))[:MOST_WORDS]
    return Statistics(missing=missing, vocabulary=tuple(word.decode() for word in frequent))
