"""What the counts of a tally mean: accuracy, loss, a line for each class, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.records.tally import Tally


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """How well one class was told from the others. A ratio over no rows is 0, as scikit-learn's."""

    #: Name of the class.
    name: str
    #: Of the rows said to be of this class, the part that is.
    precision: float
    #: Of the rows of this class, the part that was said to be.
    recall: float
    #: Harmonic mean of the two.
    f1: float
    #: Rows of this class.
    support: int


def accuracy(tally: Tally) -> float:
    """Return the part of the rows that were classified rightly."""
    return _ratio(sum(tally.confusion[i][i] for i in range(len(tally.confusion))), tally.rows)


def loss(tally: Tally) -> float:
    """Return the mean loss of a row."""
    return _ratio(tally.loss_sum, tally.rows)


def class_scores(tally: Tally, classes: Sequence[str]) -> tuple[ClassScore, ...]:
    """Return the scores of each class."""
    said = [sum(line[i] for line in tally.confusion) for i in range(len(classes))]
    return tuple(
        _score(name, right=line[i], said=said[i], support=sum(line))
        for i, (name, line) in enumerate(zip(classes, tally.confusion, strict=True))
    )


def calibration_error(tally: Tally) -> float:
    """Return the expected calibration error (Guo et al. 2017, equation 3).

    It is the mean over rows of the difference between confidence and accuracy in the row's bin.
    """
    gaps = (
        abs(confidence - correct)
        for confidence, correct in zip(tally.bin_confidence, tally.bin_correct, strict=True)
    )
    return _ratio(sum(gaps), tally.rows)


def _score(name: str, *, right: int, said: int, support: int) -> ClassScore:
    precision, recall = _ratio(right, said), _ratio(right, support)
    f1 = _ratio(2 * precision * recall, precision + recall)
    return ClassScore(name=name, precision=precision, recall=recall, f1=f1, support=support)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
