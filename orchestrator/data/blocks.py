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


def blocks(
    source: Source, split: str, *, size: int, first: int = 0, stop: int | None = None
) -> Iterator[Block]:
    """Yield rows of a split, checked and numbered.

    Args:
        source: Where the rows come from.
        split: Name of the split.
        size: Rows of a block; the last may hold fewer.
        first: Number of the row to begin with.
        stop: Number of the row to end before; None: all rows, of which there have to be as many as
            the source declared.

    Yields:
        `(rows, *shape)` for each column of the source and `ROW_COLUMN`.

    Raises:
        UsageError: The source yields something else than it declared.
    """
    import numpy as np

    declared = source.splits[split].rows
    number = first
    for rows in _cut(source, split, size, first):
        count = len(rows[source.label.name])
        if stop is not None and number + count > stop:
            count = stop - number
            rows = {name: values[:count] for name, values in rows.items()}
        if number + count > declared:
            raise _miscounted(split, f"more than {declared}", declared)
        if count:
            yield {**rows, ROW_COLUMN: np.arange(number, number + count, dtype=np.int64)}
        number += count
        if number == stop:
            return
    if number != (declared if stop is None else stop):
        raise _miscounted(split, str(number), declared)


def _miscounted(split: str, rows: str, declared: int) -> UsageError:
    return UsageError(
        f"Split {split} has {rows} rows; its source declared {declared}.",
        hint="Rows that change need another digest: the source's, or the file's time.",
    )


def _cut(source: Source, split: str, size: int, first: int) -> Iterator[Block]:
    """Yield the rows from one on in blocks, whatever the batches that they come in."""
    waiting: list[Block] = []
    held = 0
    for batch in source.splits[split].batches(first):
        rows = checked(batch, source, split)
        count, at = len(rows[source.label.name]), 0
        while held + count - at >= size:
            end = at + size - held
            waiting.append({name: values[at:end] for name, values in rows.items()})
            yield _joined(waiting)
            waiting, held, at = [], 0, end
        if at < count:
            waiting.append({name: values[at:] for name, values in rows.items()})
            held += count - at
    if waiting:
        yield _joined(waiting)


def _joined(parts: list[Block]) -> Block:
    import numpy as np

    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


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
        if (
            got.dtype.newbyteorder("=") != column.numpy_dtype
            or got.shape[1:] != column.shape
            or got.ndim == 0
        ):
            raise UsageError(
                f"Split {split}: column {column.name!r} has rows of {got.dtype.name} "
                f"{got.shape[1:]}; its source declared {column.dtype} {column.shape}."
            )
        rows[column.name] = got.astype(column.numpy_dtype, copy=False)
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
