"""Which rows are kept to test on, where the data doesn't say: a fifth of each class, at random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.data.order import permutation

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Of the rows of each class, the share that is kept to test on.
TEST_SHARE = 0.2

#: Seed of the choice: the same rows are kept, whatever the run's seed.
SPLIT_SEED = 0


def test_rows(rows: int) -> int:
    """Return how many rows of a class are kept to test on: a fifth of them, but at least one.

    Args:
        rows: Rows of the class, at least 2.
    """
    return max(1, round(rows * TEST_SHARE))


class StratifiedSplit:
    """Says of each row, in the order of the rows, whether it is kept to test on.

    Args:
        counts: Rows of each class.
    """

    def __init__(self, counts: Sequence[int]) -> None:
        self._kept = [
            permutation(rows, (SPLIT_SEED, label)) < test_rows(rows)
            for label, rows in enumerate(counts)
        ]
        self._seen = [0] * len(counts)

    def next(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Return for each of the next rows whether it is kept to test on: `(rows,) bool`.

        Args:
            labels: `(rows,)`: the class of each.
        """
        import numpy as np

        kept = np.zeros(len(labels), np.bool_)
        for label in np.unique(labels).tolist():
            at = np.flatnonzero(labels == label)
            seen = self._seen[label]
            kept[at] = self._kept[label][seen : seen + len(at)]
            self._seen[label] = seen + len(at)
        return kept
