"""Whether two models differ by more than chance on the same test rows.

What is judged is these two models on these rows. It says nothing of other seeds: another seed is
another model, to be trained and compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from orchestrator.records.predictions import Predictions

#: A difference that chance alone makes less often than this counts as more than chance.
SIGNIFICANT = 0.05

#: Samples of the bootstrap, and the part of them that an interval holds.
_SAMPLES, _HELD = 10_000, 0.95


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A value and where its resampled twins lie (percentile bootstrap, 95%)."""

    #: As measured.
    value: float
    #: 2.5% of the samples are below.
    low: float
    #: 2.5% are above.
    high: float


@dataclass(frozen=True, kw_only=True)
class PairTest:
    """What the same rows say of a first and a second model."""

    #: Rows that both were tested on.
    rows: int
    #: Rows that only the first has right.
    only_first: int
    #: Rows that only the second has right.
    only_second: int
    #: Accuracy of the second less that of the first.
    difference: Interval
    #: How often chance alone would make them differ so much: McNemar's test, exact (binomial), with
    #: Holm's correction where several were made.
    p_value: float

    @property
    def significant(self) -> bool:
        """Whether the difference is more than chance."""
        return self.p_value < SIGNIFICANT

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**asdict(self), "significant": self.significant}


def accuracy_interval(right: int, rows: int) -> Interval:
    """Return an accuracy with its bootstrap interval.

    Args:
        right: Rows classified rightly.
        rows: All rows, at least one.
    """
    import numpy as np

    # Rows are right or wrong: to draw rows with replacement is to draw from a binomial.
    samples = np.random.default_rng(0).binomial(rows, right / rows, _SAMPLES) / rows
    return _interval(right / rows, samples)


def pair_test(first: Predictions, second: Predictions) -> PairTest:
    """Compare two models row by row.

    Args:
        first: Predictions of the one.
        second: Of the other, for the same rows in the same order.
    """
    from scipy.stats import binomtest

    right_first = first.predicted == first.label
    right_second = second.predicted == second.label
    only_first = int((right_first & ~right_second).sum())
    only_second = int((right_second & ~right_first).sum())
    differ = only_first + only_second
    return PairTest(
        rows=len(first),
        only_first=only_first,
        only_second=only_second,
        difference=_difference(only_first, only_second, len(first)),
        p_value=float(binomtest(only_first, differ).pvalue) if differ else 1.0,
    )


def corrected(tests: Sequence[PairTest]) -> list[PairTest]:
    """Return tests made together, corrected for their number (Holm 1979)."""
    order = sorted(range(len(tests)), key=lambda index: tests[index].p_value)
    found, least = list(tests), 0.0
    for rank, index in enumerate(order):
        least = max(least, min(1.0, tests[index].p_value * (len(tests) - rank)))
        found[index] = replace(tests[index], p_value=least)
    return found


def _difference(only_first: int, only_second: int, rows: int) -> Interval:
    import numpy as np

    # A row counts for the second, for the first, or for neither: drawing rows is multinomial.
    parts = [only_second / rows, only_first / rows, 1 - (only_first + only_second) / rows]
    drawn = np.random.default_rng(0).multinomial(rows, parts, _SAMPLES)
    return _interval((only_second - only_first) / rows, (drawn[:, 0] - drawn[:, 1]) / rows)


def _interval(value: float, samples: Any) -> Interval:
    import numpy as np

    low, high = np.quantile(samples, [(1 - _HELD) / 2, (1 + _HELD) / 2])
    return Interval(value=value, low=float(low), high=float(high))
