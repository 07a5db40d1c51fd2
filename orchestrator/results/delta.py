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
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import UnavailableError
from orchestrator.results.data_file import write_data_file
from orchestrator.results.table_place import TablePlace
from orchestrator.results.version import NEWEST, TableVersion, delta_errors
from orchestrator.storage.atomic import storage_errors

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import CommitProperties, DeltaTable

#: Attempts of one write before it is given up; each waits a random time, longer every time.
_ATTEMPTS = 60

#: Longest wait between two of them.
_LONGEST_WAIT_S = 2.0

#: How long a writer waits for its turn, and how often it looks.
_TURN_S, _LOOK_S = 20.0, 0.002

#: Small files of a table at which they are made one: a run is a file, and many are slow to read.
_MOST_FILES = 50

#: Files of this size are left alone by that, so that its cost doesn't grow with the table.
_FILE_BYTES = 8 << 20

#: Rows of such a file that are read together: whoever asks for a few runs reads no more than that.
_GROUP_ROWS = 2000

#: How long files that are no longer part of a table stay, for those who still read them.
_KEPT = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class RunTable:
    """A table whose rows belong to runs (column `run_id`)."""

    #: Where the table lies.
    place: TablePlace
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
                with delta_errors(self.place):
                    with self._turn():
                        target = self._open()
                        self._put(target, rows)
                    return self._tidy(target)
            except CommitFailedError:
                time.sleep(random.uniform(0, min(_LONGEST_WAIT_S, 0.02 * 2**attempt)))
        raise UnavailableError(
            f"The results table {self.place} is too busy: {_ATTEMPTS} writes were refused.",
            hint="The run itself is whole: its report lies in its folder.",
        )

    def latest(self) -> TableVersion:
        """Return the newest version.

        Raises:
            UnavailableError: The table can't be read.
        """
        return TableVersion.latest(self.place, self.schema)

    def _put(self, target: DeltaTable, rows: pa.Table) -> None:
        """Put rows into a version of the table; whoever has made a newer one makes it fail."""
        now = TableVersion(place=self.place, schema=self.schema, delta=target)
        held = set(self._keys(now.of_runs([rows["run_id"][0].as_py()], self.key)))
        added = rows.filter([key not in held for key in self._keys(rows)])
        if added.num_rows:
            self._append(target, added)
        elif self.newest_by is not None and held:
            self._replace(target, rows)

    def _append(self, target: DeltaTable, rows: pa.Table) -> None:
        """Add rows; columns that an earlier version did not know are added to the table first."""
        import pyarrow as pa
        from deltalake import PostCommitHookProperties, Schema

        known = pa.schema(target.schema())
        if added := [field for field in rows.schema if field.name not in known.names]:
            fields = Schema.from_arrow(pa.schema(added)).fields
            target.alter.add_columns(fields, commit_properties=_once())
        target.create_write_transaction(
            [write_data_file(self.place, rows, bounded=self._bounded)],
            mode="append",
            schema=target.schema(),
            commit_properties=_once(),
            # Tidying removes what is old of the log; looking for it takes a tenth of a write.
            post_commithook_properties=PostCommitHookProperties(cleanup_expired_logs=False),
        )

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

    def _keys(self, rows: pa.Table) -> list[tuple[object, ...]]:
        # A table of an earlier version may lack a column: it is null in all rows then.
        columns = [
            rows[c].to_pylist() if c in rows.column_names else [None] * rows.num_rows
            for c in self.key
        ]
        return list(zip(*columns, strict=True))

    def _open(self) -> DeltaTable:
        from deltalake import DeltaTable

        with storage_errors(self.place.path):
            self.place.path.mkdir(parents=True, exist_ok=True)
        if (table := self.place.open()) is not None:
            return table
        return DeltaTable.create(
            str(self.place),
            storage_options=self.place.options,
            schema=self.schema,
            mode="ignore",
            configuration=self._properties(),
            commit_properties=_once(),
        )

    @property
    def _bounded(self) -> list[str]:
        """Columns whose bounds are noted for each file."""
        return [name for name in NEWEST if name in self.schema.names]

    def _properties(self) -> dict[str, str]:
        return {
            "delta.checkpointInterval": "10",
            # Bounds of all columns would make up most of the time of a write.
            "delta.dataSkippingStatsColumns": ",".join(self._bounded),
            "delta.deletedFileRetentionDuration": f"interval {_KEPT.days} day",
            "delta.logRetentionDuration": f"interval {_KEPT.days} day",
        }

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait until no other writer of this table is at work, but not for ever."""
        with storage_errors(self.place.path):
            self.place.path.parent.mkdir(parents=True, exist_ok=True)
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

        Rows stay as they are, and so do files that a reader may have begun with. Whoever can't do
        it, as one who is overtaken by another writer, leaves it to the next.
        """
        import pyarrow as pa
        from deltalake import WriterProperties
        from deltalake.exceptions import DeltaError

        # The file that was written just now is not among them.
        sizes = pa.table(target.get_add_actions())["size_bytes"].to_pylist()
        if sum(size < _FILE_BYTES // 2 for size in sizes) + 1 < _MOST_FILES:
            return
        with storage_errors(self.place.path):
            handle = os.open(self._lock("tidy"), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if _try_lock(handle):
                with contextlib.suppress(DeltaError):
                    target.update_incremental()
                    target.optimize.compact(
                        target_size=_FILE_BYTES,
                        writer_properties=WriterProperties(max_row_group_size=_GROUP_ROWS),
                    )
                    target.vacuum(
                        retention_hours=_KEPT.days * 24,
                        dry_run=False,
                        enforce_retention_duration=False,
                    )
                    target.cleanup_metadata()
        finally:
            os.close(handle)

    def _lock(self, purpose: str) -> Path:
        return self.place.path.with_name(f".{self.place.path.name}.{purpose}")


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
