"""Where a results table lies: in a folder, or among objects."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.storage.objects import Objects

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from pyarrow.fs import FileSystem


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

    def open(self) -> DeltaTable | None:
        """Return the newest version of the table; None if there is none."""
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        # `DeltaTable.is_deltatable` would keep all threads of Python waiting for the server.
        try:
            return DeltaTable(str(self), storage_options=self.options)
        except TableNotFoundError:
            return None
