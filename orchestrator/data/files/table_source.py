"""A table as a source: its columns are inputs, but for the one to learn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from orchestrator.catalog.info import Column
from orchestrator.data.files.classes import indices
from orchestrator.data.files.columns import values_of
from orchestrator.data.files.scan import TableScan, check_unchanged, look_through
from orchestrator.data.files.split import StratifiedSplit, test_rows
from orchestrator.data.files.tables import Table
from orchestrator.data.source import Batch, Source, SourceContext, Split
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa


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
    scan = look_through(tables, label=label, shape=shape, context=context)
    return Source(
        features=scan.features,
        label=Column(name=label, dtype="int64"),
        classes=scan.classes,
        splits=_splits(_Reading(tables=tables, scan=scan)),
        digest=scan.digest,
        origin=" and ".join(table.where for table in tables.values()),
    )


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """How the rows of a table become batches."""

    tables: Mapping[str, Table]
    scan: TableScan

    def rows(self, part: str) -> Iterator[Batch]:
        """Yield all rows of a table."""
        table, scan, first = self.tables[part], self.scan, 1
        where = f"{table.where}, column {scan.label!r}"
        check_unchanged(table, scan.states[part])
        for batch in table.batches(lambda done, total: None):
            if len(batch):
                labels = indices(batch[scan.label], scan.classes, where, first=first)
                yield {**self._features(batch), scan.label: labels}
                first += len(batch)
        check_unchanged(table, scan.states[part])

    def kept(self, *, test: bool) -> Iterator[Batch]:
        """Yield the rows that are kept to test on, or those that aren't."""
        split = StratifiedSplit(self.scan.class_rows)
        for rows in self.rows("all"):
            chosen = split.next(rows[self.scan.label]) == test
            yield {name: values[chosen] for name, values in rows.items()}

    def _features(self, batch: pa.RecordBatch) -> dict[str, Any]:
        import numpy as np

        scan = self.scan
        values = {column.name: values_of(column, batch[column.name]) for column in scan.columns}
        if scan.feature is None:
            return values
        flat = [array.reshape(len(batch), -1) for array in values.values()]
        joined = np.concatenate(flat, axis=1).astype(scan.feature.numpy_dtype, copy=False)
        return {scan.feature.name: joined.reshape(-1, *scan.feature.shape)}


def _splits(reading: _Reading) -> dict[str, Split]:
    scan = reading.scan
    if "all" not in scan.rows:
        return {
            part: Split(rows=rows, read=partial(reading.rows, part))
            for part, rows in scan.rows.items()
        }
    for name, rows in zip(scan.classes, scan.class_rows, strict=True):
        if rows < 2:
            raise UsageError(
                f"{reading.tables['all'].where} has one row of class {name!r}; two are needed, "
                "one to train and one to test on.",
                hint="Bring more rows of it, or take it out.",
            )
    tested = sum(test_rows(rows) for rows in scan.class_rows)
    return {
        "train": Split(rows=scan.rows["all"] - tested, read=partial(reading.kept, test=False)),
        "test": Split(rows=tested, read=partial(reading.kept, test=True)),
    }
