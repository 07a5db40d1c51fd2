"""The results store: Delta tables that any tool can read, without a server.

`runs` has one row for every run that ended, `reports` one for every run that was evaluated, and
`metrics` one for each of its epochs. A run may be recorded any number of times, by drivers that
were retried and by several at once: MERGE inserts what is not there yet and leaves the rest alone.
The only row that is ever replaced is that of a run which ended, was resumed and ended again later.

MERGE finds a run's row wherever it is, whoever wrote it. Delta's transaction identifiers would
refuse a second commit as well, but also the one that follows a resume, and they tell a caller of
a conflict, not whether the row is there.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import and_
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.atomic import storage_errors
from orchestrator.errors import UnavailableError
from orchestrator.results import rows
from orchestrator.results.report import Report
from orchestrator.storage import Storage

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc
    from deltalake import CommitProperties, DeltaTable
    from deltalake.table import TableMerger

#: Attempts of one write before it is given up; each waits a random time, longer every time.
_ATTEMPTS = 60

#: Longest wait between two of them.
_LONGEST_WAIT_S = 2.0

#: Versions of a table between two times that its small files are made one.
_COMPACT_EVERY = 50

#: What makes a row of a table the same row.
_KEYS = {"runs": ("run_id",), "reports": ("run_id",), "metrics": ("run_id", "epoch")}


@dataclass(frozen=True, kw_only=True)
class ResultsStore:
    """The tables of one storage."""

    #: The storage.
    storage: Storage

    def record(self, report: Report) -> None:
        """Write a run into all tables, once, however often it is recorded.

        Raises:
            UnavailableError: The storage can't be written.
        """
        import pyarrow as pa

        for name in _KEYS:
            if found := rows.rows(name, report):
                table = pa.Table.from_pylist(found, schema=rows.schema(name))
                self._retry(name, table)

    def reports(
        self,
        *,
        job: str | None = None,
        dataset: str | None = None,
        since: datetime | None = None,
        limit: int | None = None,
    ) -> pa.Table:
        """Return the reports that match, newest first.

        Args:
            job: Only of this job.
            dataset: Only on this dataset.
            since: Only of runs asked for at this time or later.
            limit: At most so many.

        Raises:
            UnavailableError: The table can't be read.
        """
        import pyarrow.compute as pc

        wanted = [
            pc.field(column) == value
            for column, value in (("job", job), ("dataset", dataset))
            if value is not None
        ]
        if since is not None:
            wanted.append(pc.field("started_at") >= since)
        table = self.table("reports", where=reduce(and_, wanted) if wanted else None)
        return table.sort_by([("started_at", "descending")]).slice(0, limit)

    def table(self, name: str, *, where: pc.Expression | None = None) -> pa.Table:
        """Return `runs`, `reports` or `metrics`; empty if nothing is recorded.

        Args:
            name: Which of them.
            where: Only rows that this holds of; files that can't hold one are not read.

        Raises:
            UnavailableError: The table can't be read.
        """
        from deltalake import DeltaTable
        from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

        path = self._path(name)
        with _delta_errors(path):
            if not DeltaTable.is_deltatable(str(path)):
                return rows.schema(name).empty_table()
            # Arrow's own file system: Delta's is Python, and an Arrow thread that comes back to it
            # while the interpreter ends aborts the process (exit code 134 in most of our trials).
            files = SubTreeFileSystem(str(path), LocalFileSystem())
            return DeltaTable(str(path)).to_pyarrow_table(filesystem=files, filters=where)

    def _path(self, name: str) -> Path:
        return self.storage.results / name

    def _retry(self, name: str, table: pa.Table) -> None:
        from deltalake.exceptions import CommitFailedError

        for attempt in range(_ATTEMPTS):
            try:
                with _delta_errors(self._path(name)):
                    return self._merge(name, table)
            except CommitFailedError:
                time.sleep(random.uniform(0, min(_LONGEST_WAIT_S, 0.02 * 2**attempt)))
        raise UnavailableError(
            f"The results table {self._path(name)} is too busy: {_ATTEMPTS} writes were refused.",
            hint="The run itself is whole: its report lies in its folder.",
        )

    def _merge(self, name: str, table: pa.Table) -> None:
        """Merge rows into what the table holds now; whoever was faster makes it fail."""
        from deltalake.exceptions import CommitFailedError

        target = self._open(name, table.schema)
        merger = _merger(target, table, _KEYS[name]).when_not_matched_insert_all()
        if name != "metrics":
            # A driver that was thought lost may come back late: it must not undo a later end.
            merger = merger.when_matched_update_all(predicate="s.finished_at > t.finished_at")
        # An epoch that a resumed run trained again has the figures it had: nothing to replace.
        merger.execute()
        if target.version() % _COMPACT_EVERY == 0:
            # A run is a file, and many small files are slow to read. Whoever loses this to
            # another writer leaves it to the next.
            with contextlib.suppress(CommitFailedError):
                target.optimize.compact(commit_properties=_once())

    def _open(self, name: str, schema: pa.Schema) -> DeltaTable:
        from deltalake import DeltaTable

        path = self._path(name)
        with storage_errors(path):
            path.mkdir(parents=True, exist_ok=True)
        return DeltaTable.create(str(path), schema=schema, mode="ignore", commit_properties=_once())


def _merger(target: DeltaTable, table: pa.Table, key: tuple[str, ...]) -> TableMerger:
    return target.merge(
        table,
        predicate=" AND ".join(f"t.{column} = s.{column}" for column in key),
        source_alias="s",
        target_alias="t",
        merge_schema=True,
        commit_properties=_once(),
    )


def _once() -> CommitProperties:
    """Return the wish that a writer which was overtaken is refused, whatever the other wrote.

    Delta would retry by itself where it sees no conflict, without looking for the row again, and
    it sees none in making a table a second time: the later one replaces the first one's metadata.
    """
    from deltalake import CommitProperties

    return CommitProperties(max_commit_retries=0)


@contextlib.contextmanager
def _delta_errors(path: Path) -> Iterator[None]:
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
            f"Can't use the results table {path}: {' '.join(str(err).split())}",
            hint="Is the disk full, or a file of the table gone? Reports lie in the runs' folders.",
        ) from err
