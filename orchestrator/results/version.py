"""One version of a table, as a reader sees it: whatever writers do meanwhile, it stays as it is."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, reduce
from operator import itemgetter, or_
from typing import TYPE_CHECKING

from orchestrator.errors import UnavailableError
from orchestrator.results.table_files import TableFiles
from orchestrator.results.table_place import TablePlace

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq
    from deltalake import DeltaTable

#: Columns that newer runs are larger in, and whose bounds are noted for each file.
NEWEST = ("started_at", "run_id")

#: After all times.
_LAST = datetime.max.replace(tzinfo=UTC)

#: What Delta draws its chain of causes with: colours, and arrows.
_DRAWN = re.compile("\x1b\\[[0-9;]*m|↳")

#: Runs that are looked up one by one; of more, there are some in each group of rows.
_FEW = 4


@dataclass(frozen=True, kw_only=True)
class TableVersion:
    """Rows of runs (column `run_id`), in files whose bounds are known."""

    #: Where the table lies.
    place: TablePlace
    #: Columns of a table that isn't there yet.
    schema: pa.Schema
    #: The version; None: there is no table yet.
    delta: DeltaTable | None

    @classmethod
    def latest(cls, place: TablePlace, schema: pa.Schema) -> TableVersion:
        """Return the newest version of a table.

        Raises:
            UnavailableError: The table can't be read.
        """
        with delta_errors(place):
            return cls(place=place, schema=schema, delta=place.open())

    def dataset(self) -> ds.Dataset:
        """Return all rows; a reader leaves files out by the bounds of any column.

        Raises:
            UnavailableError: The table can't be read.
        """
        import pyarrow.dataset as ds

        if self.delta is None:
            return ds.dataset(self.schema.empty_table())
        with delta_errors(self.place):
            return self.delta.to_pyarrow_dataset(filesystem=self.place.file_system)

    def read(
        self,
        *,
        where: pc.Expression | None = None,
        columns: Sequence[str] | None = None,
        since: datetime | None = None,
    ) -> pa.Table:
        """Return rows.

        Args:
            where: Only rows that this holds of.
            columns: Only these columns; all if none are named.
            since: Files whose runs were all asked for before are not opened.

        Raises:
            UnavailableError: The table can't be read.
        """
        with delta_errors(self.place):
            names = None if columns is None else [*columns]
            return self._part(self._files.since(since)).to_table(filter=where, columns=names)

    def newest(
        self,
        number: int,
        *,
        where: pc.Expression | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Return the rows of the newest runs, newest first; older files are not opened.

        Args:
            number: At most so many.
            where: Only rows that this holds of.
            columns: Only these columns; all if none are named.

        Raises:
            UnavailableError: The table can't be read.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        names = with_run_id(columns) or self._schema.names
        # Lists are long: they are read only where one of the runs is.
        has_lists = any(pa.types.is_nested(self._schema.field(name).type) for name in names)
        first = NEWEST if has_lists else tuple(dict.fromkeys((*NEWEST, *names)))
        found = self._schema.empty_table().select(first)
        found = found.append_column("group", pa.nulls(0, pa.int64()))
        order = [(name, "descending") for name in NEWEST]
        groups: list[ds.ParquetFileFragment] = []

        def is_settled(latest: datetime | None) -> bool:
            if found.num_rows < number or latest is None:
                return False
            return latest < found["started_at"][-1].as_py()

        with delta_errors(self.place):
            for group in self._newest_groups(is_settled):
                rows = self._rows(group, where, first)
                rows = rows.append_column("group", pa.repeat(len(groups), rows.num_rows))
                found = pa.concat_tables([found, rows]).sort_by(order).slice(0, number)
                groups.append(group)
            if not has_lists:
                return found.select(names if columns is None else [*columns])
            ids = found["run_id"].combine_chunks()
            parts = [
                self._rows(groups[n], pc.field("run_id").isin(ids), names)
                for n in pc.unique(found["group"]).to_pylist()
            ]
        empty = self._schema.empty_table().select(names)
        return in_order(pa.concat_tables([empty, *parts]), ids, columns)

    def _newest_groups(
        self, is_settled: Callable[[datetime | None], bool]
    ) -> Iterator[ds.ParquetFileFragment]:
        """Yield groups of rows, those of the latest file first.

        Args:
            is_settled: Whether runs that were asked for no later than this are of no interest;
                files whose runs all are so are not opened.
        """
        for path, latest in self._files.latest_first():
            if is_settled(latest):
                return
            for latest_of_group, group in self._groups(path):
                if is_settled(latest_of_group):
                    break
                yield group

    def _rows(
        self, group: ds.ParquetFileFragment, where: pc.Expression | None, columns: Sequence[str]
    ) -> pa.Table:
        # For so little, threads cost more than they give.
        return group.to_table(
            schema=self._schema, filter=where, columns=[*columns], use_threads=False
        )

    def _groups(self, path: str) -> list[tuple[datetime, ds.ParquetFileFragment]]:
        """Return a file's groups of rows, newest first, with when their last was asked for."""
        if path in self._opened:
            return self._opened[path]
        (fragment,) = self._part([path]).get_fragments()
        numbers = range(fragment.metadata.num_row_groups)
        groups = [
            (_latest_of_group(fragment.metadata.row_group(n)), fragment.subset(row_group_ids=[n]))
            for n in numbers
        ]
        return self._opened.setdefault(path, sorted(groups, key=itemgetter(0), reverse=True))

    def of_runs(self, run_ids: Sequence[str], columns: Sequence[str] | None = None) -> pa.Table:
        """Return the rows of some runs; files that can't have one are not opened.

        Args:
            run_ids: The runs.
            columns: Those of these columns that the table has; all if none are named.

        Raises:
            UnavailableError: The table can't be read.
        """
        import pyarrow.compute as pc

        paths, names = self._files.of_runs(run_ids), self._schema.names
        known = names if columns is None else [c for c in columns if c in names]
        if not paths:
            return self._schema.empty_table().select(known)
        run_id = pc.field("run_id")
        if len(run_ids) <= _FEW:
            # One by one, so that only those groups of rows are read that may have one of them.
            where = reduce(or_, (run_id == one for one in run_ids), pc.scalar(False))
        else:
            within = (run_id >= min(run_ids)) & (run_id <= max(run_ids))
            where = within & run_id.isin(run_ids)
        with delta_errors(self.place):
            return self._part(paths).to_table(filter=where, columns=known, use_threads=False)

    @cached_property
    def _opened(self) -> dict[str, list[tuple[datetime, ds.ParquetFileFragment]]]:
        """The groups of rows of the files that were opened; a file stays as it is."""
        return {}

    @cached_property
    def _files(self) -> TableFiles:
        return TableFiles.of(self.delta)

    def _part(self, paths: Sequence[str]) -> ds.Dataset:
        """Return the rows of some files; Delta's own reader looks at the bounds of all first."""
        import pyarrow.dataset as ds

        if not paths:
            return ds.dataset(self._schema.empty_table())
        system = self.place.file_system
        return ds.dataset(paths, schema=self._schema, format="parquet", filesystem=system)

    @cached_property
    def _schema(self) -> pa.Schema:
        import pyarrow as pa

        return self.schema if self.delta is None else pa.schema(self.delta.schema())


def _latest_of_group(group: pq.RowGroupMetaData) -> datetime:
    """Return when the last run of a group of rows was asked for; one that doesn't tell: any."""
    columns = map(group.column, range(group.num_columns))
    statistics = next(c.statistics for c in columns if c.path_in_schema == "started_at")
    return statistics.max if statistics is not None and statistics.has_min_max else _LAST


def with_run_id(columns: Sequence[str] | None) -> list[str] | None:
    """Return columns and the one that rows are put in order by; None stands for all."""
    return None if columns is None else [*dict.fromkeys((*columns, "run_id"))]


def in_order(rows: pa.Table, run_ids: pa.Array, columns: Sequence[str] | None) -> pa.Table:
    """Return the rows of runs that have one each, in the order of the runs' identifiers.

    Args:
        rows: The rows, with the column `run_id`.
        run_ids: The runs.
        columns: Only these columns; all if none are named.
    """
    import pyarrow.compute as pc

    ordered = rows.take(pc.index_in(run_ids, rows["run_id"]))
    return ordered if columns is None else ordered.select([*columns])


@contextlib.contextmanager
def delta_errors(place: TablePlace) -> Iterator[None]:
    """Turn Delta's errors into one that names the table, but for the one that asks to try again.

    Raises:
        CommitFailedError: Another writer was faster.
        UnavailableError: The table can't be used.
    """
    from deltalake.exceptions import CommitFailedError, DeltaError

    try:
        yield
    except CommitFailedError:
        raise
    except (DeltaError, OSError) as err:
        raise UnavailableError(
            f"Can't use the results table {place}: {_plain(str(err))}",
            hint="Is the disk full, or a file of the table gone? Reports lie in the runs' folders.",
        ) from err


def _plain(message: str) -> str:
    """Return a message in a line, without Delta's colours and arrows."""
    return " ".join(_DRAWN.sub("", message).split())
