"""One Delta table: rows of runs go in once, and its files are kept few, without a server.

A writer looks at the newest version for what it wants to add, adds the rest to just that version,
and is refused if another was faster: then it looks again. So a row is there once, whoever writes it
and however often. Delta's transaction identifiers would refuse a second commit as well, but also
the one that follows a resume, and they tell a caller of a conflict, not whether the row is there.

Writers that see the same lock take turns, so that few are refused. The lock is a courtesy: one that
can't be had in time, as on a file system without locks, is gone without.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.atomic import storage_errors
from orchestrator.errors import UnavailableError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.dataset as ds
    from deltalake import CommitProperties, DeltaTable
    from pyarrow.fs import FileSystem

#: Attempts of one write before it is given up; each waits a random time, longer every time.
_ATTEMPTS = 60

#: Longest wait between two of them.
_LONGEST_WAIT_S = 2.0

#: How long a writer waits for its turn, and how often it looks.
_TURN_S, _LOOK_S = 20.0, 0.002

#: Files of a table at which small ones are made one: a run is a file, and many are slow to read.
_MOST_FILES = 50

#: Files of this size are left alone by that, so that its cost doesn't grow with the table.
_FILE_BYTES = 8 << 20

#: How long files that are no longer part of a table stay, for those who still read them.
_KEPT = timedelta(days=1)

#: Columns whose bounds are noted for each file, so that readers can leave files out: runs come in
#: the order of time. Bounds of all columns would make up most of the time of a write.
_BOUNDED = ("run_id", "started_at")

#: Columns that newer runs are larger in.
_NEWEST = ("started_at", "run_id")


@dataclass(frozen=True, kw_only=True)
class RunTable:
    """A table whose rows belong to runs (column `run_id`)."""

    #: Folder of the table.
    path: Path
    #: Its columns, as this version declares them; the table may have more.
    schema: pa.Schema
    #: Columns that make a row the same row.
    key: tuple[str, ...]
    #: Column that says which of two same rows is the later one; None: neither is.
    newest_by: str | None = None

    def put(self, rows: pa.Table) -> None:
        """Add rows of one run that are not there yet, and replace those that have a later twin.

        Raises:
            UnavailableError: The storage can't be written.
        """
        from deltalake.exceptions import CommitFailedError

        for attempt in range(_ATTEMPTS):
            try:
                with delta_errors(self.path):
                    with self._turn():
                        target = self._open()
                        self._put(target, rows)
                    return self._tidy(target)
            except CommitFailedError:
                time.sleep(random.uniform(0, min(_LONGEST_WAIT_S, 0.02 * 2**attempt)))
        raise UnavailableError(
            f"The results table {self.path} is too busy: {_ATTEMPTS} writes were refused.",
            hint="The run itself is whole: its report lies in its folder.",
        )

    def newest(self) -> ds.Dataset:
        """Return the newest version, of which a reader takes what it needs; it may have no rows.

        Raises:
            UnavailableError: The table can't be read.
        """
        import pyarrow.dataset as ds
        from deltalake import DeltaTable

        with delta_errors(self.path):
            if not DeltaTable.is_deltatable(str(self.path)):
                return ds.dataset(self.schema.empty_table())
            return self._dataset(DeltaTable(str(self.path)))

    def read(
        self, *, where: pc.Expression | None = None, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Return rows of the newest version.

        Args:
            where: Only rows that this holds of; files that can't hold one are not read.
            columns: Only these columns; all if none are named.

        Raises:
            UnavailableError: The table can't be read.
        """
        with delta_errors(self.path):
            names = None if columns is None else [*columns]
            return self.newest().to_table(filter=where, columns=names)

    def read_newest(
        self, number: int, *, where: pc.Expression | None, columns: Sequence[str] | None
    ) -> pa.Table:
        """Return the rows of the newest runs, newest first; older files are not even opened.

        Args:
            number: At most so many.
            where: Only rows that this holds of.
            columns: Only these columns; all if none are named.

        Raises:
            UnavailableError: The table can't be read.
        """
        import pyarrow as pa
        from deltalake import DeltaTable

        with delta_errors(self.path):
            if not DeltaTable.is_deltatable(str(self.path)):
                return self.read(columns=columns)
            table = DeltaTable(str(self.path))
            needed = None if columns is None else [*dict.fromkeys((*columns, *_NEWEST))]
            found = pa.schema(table.schema()).empty_table()
            found = found if needed is None else found.select(needed)
            for file in sorted(self._files(table), key=_latest, reverse=True):
                if found.num_rows == number and _latest(file) < found["started_at"][-1].as_py():
                    break
                rows = self._part(table, [file]).to_table(filter=where, columns=needed)
                order = [(name, "descending") for name in _NEWEST]
                found = pa.concat_tables([found, rows]).sort_by(order).slice(0, number)
            return found if columns is None else found.select([*columns])

    def _put(self, target: DeltaTable, rows: pa.Table) -> None:
        """Put rows into a version of the table; whoever has made a newer one makes it fail."""
        from deltalake import write_deltalake

        held = self._held(target, rows["run_id"][0].as_py())
        added = rows.filter([key not in held for key in self._keys(rows)])
        if added.num_rows:
            write_deltalake(
                target, added, mode="append", schema_mode="merge", commit_properties=_once()
            )
        elif self.newest_by is not None and held:
            self._replace(target, rows)

    def _replace(self, target: DeltaTable, rows: pa.Table) -> None:
        """Replace rows by later ones; an earlier one, which came late, is left out."""
        target.merge(
            rows,
            predicate=" AND ".join(f"t.{column} = s.{column}" for column in self.key),
            source_alias="s",
            target_alias="t",
            merge_schema=True,
            commit_properties=_once(),
        ).when_matched_update_all(predicate=f"s.{self.newest_by} > t.{self.newest_by}").execute()

    def _held(self, target: DeltaTable, run_id: str) -> set[tuple[object, ...]]:
        """Return the keys of a run's rows that are there; files that can't have one aren't read."""
        import pyarrow.compute as pc

        files = [file for file in self._files(target) if _may_hold(file, run_id)]
        columns = [field.name for field in target.schema().fields if field.name in self.key]
        part = self._part(target, files)
        found = part.to_table(filter=pc.field("run_id") == run_id, columns=columns)
        return set(self._keys(found))

    def _keys(self, rows: pa.Table) -> list[tuple[object, ...]]:
        # A table of an earlier version may lack a column: it is null in all rows then.
        columns = [
            rows[c].to_pylist() if c in rows.column_names else [None] * rows.num_rows
            for c in self.key
        ]
        return list(zip(*columns, strict=True))

    def _open(self) -> DeltaTable:
        from deltalake import DeltaTable

        with storage_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        if DeltaTable.is_deltatable(str(self.path)):
            return DeltaTable(str(self.path))
        return DeltaTable.create(
            str(self.path),
            schema=self.schema,
            mode="ignore",
            configuration=self._properties(),
            commit_properties=_once(),
        )

    def _properties(self) -> dict[str, str]:
        return {
            "delta.checkpointInterval": "10",
            "delta.dataSkippingStatsColumns": ",".join(
                c for c in _BOUNDED if c in self.schema.names
            ),
            "delta.deletedFileRetentionDuration": f"interval {_KEPT.days} day",
            "delta.logRetentionDuration": f"interval {_KEPT.days} day",
        }

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait until no other writer of this table is at work, but not for ever."""
        with storage_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._lock("turn"), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            give_up = time.monotonic() + _TURN_S
            while not _try_lock(handle) and time.monotonic() < give_up:
                time.sleep(random.uniform(_LOOK_S / 2, _LOOK_S))
            yield
        finally:
            os.close(handle)

    def _tidy(self, target: DeltaTable) -> None:
        """Make small files one and remove those that nobody reads any more, if it is time for it.

        Rows stay as they are, and so do files that a reader may have begun with; whoever is
        overtaken by another writer leaves it to the next.
        """
        from deltalake.exceptions import CommitFailedError

        if target.get_add_actions().num_rows < _MOST_FILES:
            return
        with storage_errors(self.path):
            handle = os.open(self._lock("tidy"), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if _try_lock(handle):
                with contextlib.suppress(CommitFailedError):
                    target.update_incremental()
                    target.optimize.compact(target_size=_FILE_BYTES)
                    target.vacuum(
                        retention_hours=_KEPT.days * 24,
                        dry_run=False,
                        enforce_retention_duration=False,
                    )
                    target.cleanup_metadata()
        finally:
            os.close(handle)

    def _dataset(self, table: DeltaTable) -> ds.Dataset:
        return table.to_pyarrow_dataset(filesystem=self._file_system())

    def _files(self, table: DeltaTable) -> list[dict[str, Any]]:
        """Return the files of a version, each with its path and bounds."""
        import pyarrow as pa

        return pa.table(table.get_add_actions(flatten=True)).to_pylist()

    def _part(self, table: DeltaTable, files: Sequence[Mapping[str, Any]]) -> ds.Dataset:
        """Return some files of a version; Delta's reader looks at the bounds of all of them."""
        import pyarrow as pa
        import pyarrow.dataset as ds

        return ds.dataset(
            [file["path"] for file in files],
            schema=pa.schema(table.schema()),
            format="parquet",
            filesystem=self._file_system(),
        )

    def _file_system(self) -> FileSystem:
        from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

        # Arrow's own file system: Delta's is Python, and an Arrow thread that comes back to it
        # while the interpreter ends aborts the process (exit code 134 in most of our trials).
        return SubTreeFileSystem(str(self.path), LocalFileSystem())

    def _lock(self, purpose: str) -> Path:
        return self.path.with_name(f".{self.path.name}.{purpose}")


def _may_hold(file: Mapping[str, Any], run_id: str) -> bool:
    """Return whether a file may have rows of a run; one that doesn't tell may have any."""
    low, high = file.get("min.run_id"), file.get("max.run_id")
    return low is None or high is None or low <= run_id <= high


def _latest(file: Mapping[str, Any]) -> datetime:
    """Return when the last run of a file was asked for; one that doesn't tell may hold any."""
    return file.get("max.started_at") or datetime.max.replace(tzinfo=UTC)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # Another has it, or the file system has no locks.
        return False
    return True


def _once() -> CommitProperties:
    """Return the wish that a writer which was overtaken is refused, whatever the other wrote.

    Delta would retry by itself where it sees no conflict, without looking for the row again, and
    it sees none in making a table a second time: the later one replaces the first one's metadata.
    """
    from deltalake import CommitProperties

    return CommitProperties(max_commit_retries=0)


@contextlib.contextmanager
def delta_errors(path: Path) -> Iterator[None]:
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
