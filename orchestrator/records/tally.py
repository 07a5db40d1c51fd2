"""What a worker counts over the test rows it reads: counts and sums that add up.

Tallies are kept for each stream, and streams are merged in their order, so the merged figures
are the same to the last bit for any number of workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

Number = TypeVar("Number", int, float)

#: Equal-width bins of confidence for calibration, as in Guo et al., "On Calibration of Modern
#: Neural Networks", ICML 2017, section 3.
CALIBRATION_BINS = 15

#: Mistakes a tally keeps: the ones with the largest loss.
HARDEST = 25


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A row that was classified wrongly."""

    #: Number of the row in its source.
    row: int
    #: Index of the right class.
    label: int
    #: Index of the class that was said.
    predicted: int
    #: Probability given to the class that was said.
    confidence: float
    #: Loss of this row.
    loss: float


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Counts and sums over some test rows."""

    #: Rows counted.
    rows: int
    #: Sum of the rows' losses.
    loss_sum: float
    #: `[label][predicted]`: rows.
    confusion: tuple[tuple[int, ...], ...]
    #: Rows in each bin of confidence.
    bin_rows: tuple[int, ...]
    #: Sum of confidence in each bin.
    bin_confidence: tuple[float, ...]
    #: Rows classified rightly in each bin.
    bin_correct: tuple[int, ...]
    #: The mistakes with the largest loss, largest first.
    hardest: tuple[Mistake, ...]

    @classmethod
    def empty(cls, classes: int) -> Tally:
        """Return the tally of no rows."""
        return cls(
            rows=0,
            loss_sum=0.0,
            confusion=((0,) * classes,) * classes,
            bin_rows=(0,) * CALIBRATION_BINS,
            bin_confidence=(0.0,) * CALIBRATION_BINS,
            bin_correct=(0,) * CALIBRATION_BINS,
            hardest=(),
        )

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            rows=self.rows + other.rows,
            loss_sum=self.loss_sum + other.loss_sum,
            confusion=tuple(
                tuple(a + b for a, b in zip(mine, theirs, strict=True))
                for mine, theirs in zip(self.confusion, other.confusion, strict=True)
            ),
            bin_rows=_added(self.bin_rows, other.bin_rows),
            bin_confidence=_added(self.bin_confidence, other.bin_confidence),
            bin_correct=_added(self.bin_correct, other.bin_correct),
            hardest=hardest((*self.hardest, *other.hardest)),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Tally:
        """Build it from what `to_dict` returned."""
        return cls(
            rows=values["rows"],
            loss_sum=values["loss_sum"],
            confusion=tuple(tuple(line) for line in values["confusion"]),
            bin_rows=tuple(values["bin_rows"]),
            bin_confidence=tuple(values["bin_confidence"]),
            bin_correct=tuple(values["bin_correct"]),
            hardest=tuple(Mistake(**mistake) for mistake in values["hardest"]),
        )


def merge(tallies: Mapping[int, Tally], *, classes: int) -> Tally:
    """Add up the tallies of streams, in the order of the streams.

    Args:
        tallies: Tally of each stream, by the stream's number.
        classes: Number of classes.
    """
    total = Tally.empty(classes)
    for stream in sorted(tallies):
        total += tallies[stream]
    return total


def hardest(mistakes: Iterable[Mistake]) -> tuple[Mistake, ...]:
    """Return the mistakes with the largest loss, largest first; ties go to the earlier row."""
    return tuple(sorted(mistakes, key=lambda m: (-m.loss, m.row))[:HARDEST])


def _added(mine: tuple[Number, ...], theirs: tuple[Number, ...]) -> tuple[Number, ...]:
    return tuple(a + b for a, b in zip(mine, theirs, strict=True))
