"""A table as a source: its columns are inputs, but for the one to learn."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from orchestrator.catalog.info import Column
from orchestrator.data.files.classes import Classes, indices
from orchestrator.data.files.columns import ColumnScan, values_of
from orchestrator.data.files.split import StratifiedSplit, test_rows
from orchestrator.data.files.tables import Table
from orchestrator.data.manifest import ROW_COLUMN
from orchestrator.data.source import Batch, Source, SourceContext, Split
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

#: Raise it when the rows of a table become arrays differently.
VERSION = 1

#: Name of the one feature that a table's numbers are brought into for a job that takes an array.
ARRAY_FEATURE = "numbers"


def table_source(
    tables: Mapping[str, Table],
    *,
    label: str | None,
    shape: tuple[int, ...] | None,
    context: SourceContext,
) -> Source:
    """Look through a table and return it as a source.

    Args:
        tables: `train` and `test`; or `all`, of which a fifth of each class is kept to test on.
        label: Name of the column to learn; `label` if none is given.
        shape: Shape that the numbers of a row are brought to; None: each column is an input.
        context: Told how far it is.

    Raises:
        UsageError: The table can't be learnt from as it is; the message says where and why.
    """
    label = label or "label"
    names = _checked_names(tables, label)
    scans = {name: ColumnScan(name, _where(tables, name)) for name in names if name != label}
    classes = Classes(_where(tables, label))
    counts = {}
    for part, table in tables.items():
        with table.unchanged():
            counts[part] = _scan(table, label, scans, classes, context)
    class_names, class_rows = classes.finish()
    columns = tuple(scan.column() for scan in scans.values())
    to_array = None if shape is None else _to_array(scans, columns, shape, where=_name(tables))
    reading = _Reading(
        label=label, columns=columns, classes=class_names, feature=to_array, tables=tables
    )
    made_of = (VERSION, label, shape, *(f"{p} {t.digest()}" for p, t in tables.items()))
    return Source(
        features=columns if to_array is None else (to_array,),
        label=Column(name=label, dtype="int64"),
        classes=class_names,
        splits=_splits(reading, counts, class_names, class_rows),
        digest=hashlib.sha256(repr(made_of).encode()).hexdigest(),
        origin=_name(tables),
    )


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """How the rows of a table become batches."""

    tables: Mapping[str, Table]
    label: str
    columns: tuple[Column, ...]
    classes: tuple[str, ...]
    feature: Column | None

    def rows(self, part: str) -> Iterator[Batch]:
        """Yield all rows of a table."""
        table, first = self.tables[part], 1
        where = f"{table.where}, column {self.label!r}"
        with table.unchanged():
            for batch in table.batches(lambda done, total: None):
                if len(batch):
                    labels = indices(batch[self.label], self.classes, where, first=first)
                    yield {**self._features(batch), self.label: labels}
                    first += len(batch)

    def kept(self, counts: tuple[int, ...], *, test: bool) -> Iterator[Batch]:
        """Yield the rows that are kept to test on, or those that aren't."""
        split = StratifiedSplit(counts)
        for rows in self.rows("all"):
            chosen = split.next(rows[self.label]) == test
            yield {name: values[chosen] for name, values in rows.items()}

    def _features(self, batch: pa.RecordBatch) -> dict[str, Any]:
        import numpy as np

        values = {column.name: values_of(column, batch[column.name]) for column in self.columns}
        if self.feature is None:
            return values
        flat = [array.reshape(len(batch), -1) for array in values.values()]
        joined = np.concatenate(flat, axis=1).astype(self.feature.numpy_dtype, copy=False)
        return {self.feature.name: joined.reshape(-1, *self.feature.shape)}


def _splits(
    reading: _Reading,
    counts: Mapping[str, int],
    names: tuple[str, ...],
    rows: tuple[int, ...],
) -> dict[str, Split]:
    if "all" not in counts:
        return {
            part: Split(rows=count, read=partial(reading.rows, part))
            for part, count in counts.items()
        }
    for name, count in zip(names, rows, strict=True):
        if count < 2:
            raise UsageError(
                f"{reading.tables['all'].where} has one row of class {name!r}; two are needed, "
                "one to train and one to test on.",
                hint="Bring more rows of it, or take it out.",
            )
    tested = sum(test_rows(count) for count in rows)
    return {
        "train": Split(rows=sum(rows) - tested, read=partial(reading.kept, rows, test=False)),
        "test": Split(rows=tested, read=partial(reading.kept, rows, test=True)),
    }


def _scan(
    table: Table,
    label: str,
    scans: Mapping[str, ColumnScan],
    classes: Classes,
    context: SourceContext,
) -> int:
    """Look at all rows; return how many there are."""
    rows = 0
    tell: Callable[[int, int], None] = partial(context.progress, f"Looking through {table.where}")
    for batch in table.batches(tell):
        if len(batch):
            classes.add(batch[label], first=rows + 1)
            for name, scan in scans.items():
                scan.add(batch[name], first=rows + 1)
        rows += len(batch)
    if not rows:
        raise UsageError(f"{table.where} has no rows.")
    return rows


def _to_array(
    scans: Mapping[str, ColumnScan],
    columns: tuple[Column, ...],
    shape: tuple[int, ...],
    *,
    where: str,
) -> Column:
    """Return the one feature that all columns are brought into.

    Raises:
        UsageError: They are too many or too few for it, or hold text.
    """
    wanted = " × ".join(str(size) for size in shape)
    if text := [column.name for column in columns if column.is_text]:
        raise UsageError(
            f"{where}: column {text[0]!r} holds text; this job takes {wanted} numbers a row.",
            hint="Leave it out, or train a job for tables, such as mlp-table.",
        )
    count = sum(math.prod(column.shape) for column in columns)
    if len(columns) == 1 and columns[0].shape:
        flat = len(columns[0].shape) == 1 and count == math.prod(shape)
        return dataclasses.replace(columns[0], shape=shape) if flat else columns[0]
    if count != math.prod(shape):
        raise UsageError(
            f"{where} has {count} numbers a row; this job takes {wanted} = {math.prod(shape)}.",
            hint="Bring its columns to that number, or train a job for tables, such as mlp-table.",
        )
    whole = all(scan.bytes for scan in scans.values())
    return Column(name=ARRAY_FEATURE, dtype="uint8" if whole else "float32", shape=shape)


def _checked_names(tables: Mapping[str, Table], label: str) -> list[str]:
    """Return the names of the columns, which all tables have to share.

    Raises:
        UsageError: They don't, the label is not among them, or one can't be a name.
    """
    first, *others = tables.values()
    names = first.names()
    for table in others:
        if differing := set(names) ^ set(table.names()):
            raise UsageError(
                f"{first.where} and {table.where} differ in columns: "
                f"{', '.join(sorted(differing))}."
            )
    if label not in names:
        raise UsageError(
            f"{first.where} has no column {label!r}.",
            hint=f"Name the one to learn with --label; there are: {', '.join(names)}.",
        )
    if len(names) == 1:
        raise UsageError(f"{first.where} has no column besides {label!r}: nothing to learn from.")
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{first.where} has {names.count(name)} columns {name!r}.")
        if not name.strip() or "/" in name or ".." in name or name == ROW_COLUMN:
            raise UsageError(
                f"{first.where}: {name!r} can't be the name of a column.", hint="Call it otherwise."
            )
    return names


def _where(tables: Mapping[str, Table], column: str) -> str:
    return f"{_name(tables)}, column {column!r}"


def _name(tables: Mapping[str, Table]) -> str:
    return " and ".join(table.where for table in tables.values())
