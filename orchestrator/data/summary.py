"""What a dataset holds, for people to look at before they train on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.catalog.info import Column
from orchestrator.data.source import Source

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Different words that are counted; a column with more of them is said to have more.
_MOST_WORDS = 10_000


@dataclass(kw_only=True)
class ColumnSummary:
    """What the rows hold of one column."""

    #: The column.
    column: Column
    #: Rows without a value.
    missing: int = 0
    #: Least number; None for text and where there is none.
    least: float | None = None
    #: Largest number.
    most: float | None = None
    #: Different words; None for numbers, or where there are too many to count.
    words: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        values = asdict(self)
        return {**values.pop("column"), **values}


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a source holds."""

    #: Its features, over all rows.
    columns: tuple[ColumnSummary, ...]
    #: Rows of each class, by split and class.
    classes: dict[str, dict[str, int]]


def summarise(source: Source, progress: Callable[[str, int, int], None]) -> Summary:
    """Read all rows of a source once, and say what they hold.

    Args:
        source: Where the rows come from.
        progress: Told the split, the rows that were read, and how many there are.

    Raises:
        UsageError: The source yields something else than it declared.
    """
    import numpy as np

    from orchestrator.data.blocks import checked

    columns = {column.name: ColumnSummary(column=column) for column in source.features}
    words: dict[str, set[bytes]] = {c.name: set() for c in source.features if c.is_text}
    counts = {split: np.zeros(len(source.classes), np.int64) for split in source.splits}
    for name, split in source.splits.items():
        done = 0
        for batch in split.batches():
            rows = checked(batch, source, name)
            labels = rows[source.label.name]
            counts[name] += np.bincount(labels, minlength=len(source.classes))
            for column in columns.values():
                _add(column, rows[column.column.name], words)
            done += len(labels)
            progress(name, done, split.rows)
    for name, held in words.items():
        columns[name].words = len(held) if len(held) <= _MOST_WORDS else None
    return Summary(
        columns=tuple(columns.values()),
        classes={
            split: dict(zip(source.classes, count.tolist(), strict=True))
            for split, count in counts.items()
        },
    )


def _add(summary: ColumnSummary, values: NDArray[Any], words: dict[str, set[bytes]]) -> None:
    import numpy as np

    name = summary.column.name
    if not len(values):
        return
    if summary.column.is_text:
        summary.missing += int((values == b"").sum())
        if len(words[name]) <= _MOST_WORDS:
            words[name] |= set(np.unique(values[values != b""]).tolist())
        return
    lost = np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, np.bool_)
    held = values[~lost] if lost.any() else values
    summary.missing += int(lost.sum())
    if held.size:
        least, most = float(held.min()), float(held.max())
        summary.least = least if summary.least is None else min(least, summary.least)
        summary.most = most if summary.most is None else max(most, summary.most)
