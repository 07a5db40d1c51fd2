"""A source's rows, checked against what it declared, in the blocks in which they are dealt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from orchestrator.data.manifest import ROW_COLUMN
from orchestrator.data.source import Batch, Source
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Block = dict[str, "NDArray[Any]"]


def blocks(source: Source, split: str, *, size: int) -> Iterator[Block]:
    """Yield the rows of a split, checked and numbered.

    Args:
        source: Where the rows come from.
        split: Name of the split.
        size: Rows of a block; the last may hold fewer.

    Yields:
        `(rows, *shape)` for each column of the source and `ROW_COLUMN`.

    Raises:
        UsageError: The source yields something else than it declared.
    """
    import numpy as np

    number = 0
    for rows in _cut(source, split, size):
        count = len(rows[source.label.name])
        yield {**rows, ROW_COLUMN: np.arange(number, number + count, dtype=np.int64)}
        number += count
    declared = source.splits[split].rows
    if number != declared:
        raise UsageError(f"Split {split} has {number} rows; its source declared {declared}.")


def _cut(source: Source, split: str, size: int) -> Iterator[Block]:
    """Yield the rows in blocks, whatever the batches that they come in."""
    import numpy as np

    waiting: list[Block] = []
    held = 0
    for batch in source.splits[split].read():
        rows = checked(batch, source, split)
        count, at = len(rows[source.label.name]), 0
        while held + count - at >= size:
            end = at + size - held
            waiting.append({name: values[at:end] for name, values in rows.items()})
            yield {n: np.concatenate([part[n] for part in waiting]) for n in rows}
            waiting, held, at = [], 0, end
        if at < count:
            waiting.append({name: values[at:] for name, values in rows.items()})
            held += count - at
    if waiting:
        yield {n: np.concatenate([part[n] for part in waiting]) for n in waiting[0]}


def checked(batch: Batch, source: Source, split: str) -> Block:
    """Return a batch's declared columns in native byte order.

    Raises:
        UsageError: A column is missing or isn't what the source declared, columns differ in
            length, or a label is no index of a class.
    """
    import numpy as np

    rows: Block = {}
    for column in source.columns:
        if column.name not in batch:
            raise UsageError(f"Split {split} lacks column {column.name!r}.")
        got = np.asarray(batch[column.name])
        if got.dtype.name != column.dtype or got.shape[1:] != column.shape or got.ndim == 0:
            raise UsageError(
                f"Split {split}: column {column.name!r} has rows of {got.dtype.name} "
                f"{got.shape[1:]}; its source declared {column.dtype} {column.shape}."
            )
        rows[column.name] = got.astype(column.dtype, copy=False)
    lengths = {name: len(values) for name, values in rows.items()}
    if len(set(lengths.values())) != 1:
        raise UsageError(f"Split {split}: the columns of a batch differ in length: {lengths}.")
    _check_labels(rows[source.label.name], source, split)
    return rows


def _check_labels(labels: NDArray[Any], source: Source, split: str) -> None:
    top = len(source.classes) - 1
    if len(labels) and not 0 <= labels.min() <= labels.max() <= top:
        raise UsageError(
            f"Split {split}: column {source.label.name!r} has labels from {labels.min()} to "
            f"{labels.max()}; {top + 1} classes have labels from 0 to {top}."
        )
