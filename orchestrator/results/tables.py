"""The results store: Delta tables that any tool can read, without a server.

`runs` has one row for every run that ended, `reports` one for every run that was evaluated, and
`metrics` one for each of its epochs and for every so many steps in between. The only row that is
ever replaced is that of a run which ended, was resumed and ended again later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Any

from orchestrator.results import rows
from orchestrator.results.delta import RunTable
from orchestrator.results.report import Report
from orchestrator.results.table_place import Stamp, TablePlace
from orchestrator.results.version import TableVersion, in_order, with_run_id
from orchestrator.storage.storage import Storage

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc
    from pandas import DataFrame

#: What makes a row of a table the same row.
_KEYS: Mapping[str, tuple[str, ...]] = {
    "runs": ("run_id",),
    "reports": ("run_id",),
    "metrics": ("run_id", "epoch", "step"),
}

#: Names of the tables.
TABLES = tuple(_KEYS)


#: Columns of `reports` that sum a run up; the others are long, or rarely asked for.
SUMMARY = (
    *("run_id", "job", "dataset", "workers", "accuracy", "loss", "train_rows_per_s", "wall_s"),
    *("started_at", "params"),
)


@dataclass(frozen=True, kw_only=True)
class ResultsStore:
    """The tables of one storage."""

    #: The storage.
    storage: Storage
    #: The version of each table that was read last, and what told that it was the newest.
    _read: dict[str, tuple[Stamp, TableVersion]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def record(self, report: Report, running: Sequence[Mapping[str, Any]] = ()) -> None:
        """Write a run into all tables, once, however often it is recorded.

        Args:
            report: The run's report.
            running: Metrics between the ends of its epochs: epoch, step and metrics.

        Raises:
            UnavailableError: The storage can't be written.
        """
        import pyarrow as pa

        def put(name: str) -> None:
            if found := rows.rows(name, report, running):
                table = self._table(name)
                table.put(pa.Table.from_pylist(found, schema=table.schema))

        # Each waits for its own files most of the time.
        with ThreadPoolExecutor(len(TABLES)) as pool:
            list(pool.map(put, TABLES))

    def reports(
        self,
        *,
        run_id: str | None = None,
        job: str | None = None,
        dataset: str | None = None,
        since: datetime | None = None,
        best: str | None = None,
        limit: int | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Return the reports that match, newest first.

        Args:
            run_id: Only of this run.
            job: Only of this job.
            dataset: Only on this dataset.
            since: Only of runs asked for at this time or later.
            best: Sorted by this column instead, the best first: of `loss` and
                `calibration_error` the least is, of others the most.
            limit: At most so many.
            columns: Only these columns; all if none are named.

        Raises:
            UnavailableError: The table can't be read.
        """
        import pyarrow.compute as pc

        wanted = [
            pc.field(column) == value
            for column, value in (("run_id", run_id), ("job", job), ("dataset", dataset))
            if value is not None
        ]
        if since is not None:
            wanted.append(pc.field("started_at") >= since)
        where = reduce(and_, wanted) if wanted else None
        table = self._latest("reports")
        if best is None and limit is not None:
            return table.newest(limit, where=where, columns=columns)
        order = [] if best is None else [(best, _best_first(best))]
        order += [("started_at", "descending"), ("run_id", "descending")]
        # Few columns say which rows it will be. The others are long: only theirs are read.
        names = [name for name, _ in order]
        found = table.read(where=where, columns=names, since=since).sort_by(order)
        ids = found["run_id"].slice(0, limit).combine_chunks()
        return in_order(table.of_runs(ids.to_pylist(), with_run_id(columns)), ids, columns)

    def table(
        self,
        name: str,
        *,
        where: pc.Expression | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Return `runs`, `reports` or `metrics`; empty if nothing is recorded.

        Args:
            name: Which of them.
            where: Only rows that this holds of; files that can't hold one are not read.
            columns: Only these columns; all if none are named.

        Raises:
            UnavailableError: The table can't be read.
        """
        return self._latest(name).read(where=where, columns=columns)

    def frame(self, name: str, *, where: pc.Expression | None = None) -> DataFrame:
        """Return `runs`, `reports` or `metrics` as a pandas DataFrame; arguments as of `table`."""
        return self.table(name, where=where).to_pandas()

    def sql(self, text: str) -> pa.Table:
        """Answer a SELECT over `runs`, `reports` and `metrics`, in DuckDB's SQL.

        Raises:
            UsageError: It is not one SELECT over these tables.
            UnavailableError: A table can't be read.
        """
        from orchestrator.results.sql import select

        return select(text, {name: self._latest(name).dataset() for name in TABLES})

    def _latest(self, name: str) -> TableVersion:
        """Return the newest version of a table: the one that was read last, if nothing came since.

        To open a table takes longer than to read a few runs of it.
        """
        table = self._table(name)
        stamp = table.place.stamp()
        if name in self._read and self._read[name][0] == stamp:
            return self._read[name][1]
        latest = table.latest()
        if stamp is not None:
            self._read[name] = (stamp, latest)
        return latest

    def _table(self, name: str) -> RunTable:
        folder = self.storage.results / name
        return RunTable(
            place=TablePlace(path=folder, objects=self.storage.published(folder)),
            schema=rows.schema(name),
            key=_KEYS[name],
            newest_by=None if name == "metrics" else "finished_at",
        )


def open_results(storage: str | None = None) -> ResultsStore:
    """Open the results of a storage.

    Args:
        storage: Its folder; LAUNCH_JOB_STORAGE or `./runs-store` if none is given.

    Raises:
        UsageError: It is no folder's name.
    """
    return ResultsStore(storage=Storage.chosen(storage))


def _best_first(column: str) -> str:
    return "ascending" if column in ("loss", "calibration_error") else "descending"
