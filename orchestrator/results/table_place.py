"""Where a results table lies: in a folder, or among objects."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from orchestrator.storage.objects import Objects

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from pyarrow.fs import FileSystem

#: Device and number of a table's log folder, and when an entry came or went, in nanoseconds.
Stamp: TypeAlias = tuple[int, int, int]

#: Times of a file system that lie further apart are told apart.
_CLOCK_S = 2.0


@dataclass(frozen=True, kw_only=True)
class TablePlace:
    """Where a table lies, as Delta and as Arrow have to be told."""

    #: Folder of the table; if it lies among objects, what this machine names its locks after.
    path: Path
    #: Where the table lies, if that is among objects.
    objects: Objects | None = None

    def __str__(self) -> str:
        return str(self.path) if self.objects is None else self.objects.address

    @property
    def options(self) -> dict[str, str] | None:
        """What Delta has to be told that it doesn't read from the environment."""
        return None if self.objects is None else self.objects.store.delta_options()

    @property
    def file_system(self) -> FileSystem:
        """Arrow's own file system of the table's files.

        Delta's is Python, and an Arrow thread that comes back to it while the interpreter ends
        aborts the process (exit code 134 in most of our trials).
        """
        from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

        if self.objects is not None:
            return self.objects.file_system()
        return SubTreeFileSystem(str(self.path), LocalFileSystem())

    def stamp(self) -> Stamp | None:
        """Return what changes with each commit to a table in a folder; None if that isn't known.

        So it is among objects, and of a table that isn't there or was written to this very moment:
        a file system's clock is coarse, and a commit that follows may leave the same time.
        """
        if self.objects is not None:
            return None
        try:
            log = (self.path / "_delta_log").stat()
        except OSError:
            return None
        is_settled = time.time() - log.st_mtime > _CLOCK_S
        return (log.st_dev, log.st_ino, log.st_mtime_ns) if is_settled else None

    def open(self) -> DeltaTable | None:
        """Return the newest version of the table; None if there is none."""
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        # `DeltaTable.is_deltatable` would keep all threads of Python waiting for the server.
        try:
            return DeltaTable(str(self), storage_options=self.options)
        except TableNotFoundError:
            return None
