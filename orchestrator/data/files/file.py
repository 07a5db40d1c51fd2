"""A file on this machine, on S3 or on Google Cloud Storage, and whether it stays as it is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from orchestrator.errors import UnavailableError, UsageError
from orchestrator.storage.object_stores import store_of

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import fs

_READ_BYTES = 4 << 20


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """A file, or a folder, of data."""

    #: An absolute path, or an address.
    uri: str

    @classmethod
    def at(cls, text: str) -> DataFile:
        """Return the file at a path or an address.

        Raises:
            UsageError: The address holds a key: it would be written down with each run.
        """
        if "@" in text.partition("://")[2].partition("/")[0]:
            raise UsageError(
                "The address of a dataset holds a key, which would be written down with the run.",
                hint="Leave it out; AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are read.",
            )
        if store_of(text) is not None or text.startswith("file://"):
            return cls(uri=text.rstrip("/"))
        return cls(uri=str(Path(text).expanduser().absolute()))

    @property
    def name(self) -> str:
        """Its last name."""
        return PurePosixPath(self.uri).name

    @property
    def suffix(self) -> str:
        """The end of its name, such as `.csv`, in lower case."""
        return PurePosixPath(self.uri).suffix.lower()

    @property
    def stem(self) -> str:
        """Its name without that end."""
        return PurePosixPath(self.uri).stem

    def __str__(self) -> str:
        return self.uri

    @contextmanager
    def open(self) -> Iterator[pa.NativeFile]:
        """Open it to be read, at any place, by the block.

        Raises:
            UnavailableError: It can't be read, now or later in the block.
        """
        with _errors(self):
            system, path = self._located()
            with system.open_input_file(path) as file:
                yield file

    def is_folder(self) -> bool:
        """Whether it is a folder.

        Raises:
            UsageError: There is nothing of that name.
        """
        from pyarrow import fs

        kind = self._info().type
        if kind == fs.FileType.NotFound:
            raise UsageError(f"There is no file {self.uri}.", hint="Look at its path.")
        return kind == fs.FileType.Directory

    def files(self) -> list[DataFile]:
        """Return what lies in a folder, by name; hidden files are left out."""
        from pyarrow import fs

        with _errors(self):
            system, path = self._located()
            names = sorted(info.base_name for info in system.get_file_info(fs.FileSelector(path)))
        return [DataFile(uri=f"{self.uri}/{name}") for name in names if not name.startswith(".")]

    def sha256(self) -> str:
        """Return the SHA-256 of its bytes."""
        digest = hashlib.sha256()
        with self.open() as file:
            while data := file.read(_READ_BYTES):
                digest.update(data)
        return digest.hexdigest()

    @property
    def state(self) -> tuple[int, int]:
        """Its size, in bytes, and the time of its last change, in nanoseconds."""
        info = self._info()
        return info.size or 0, info.mtime_ns or 0

    def _info(self) -> fs.FileInfo:
        with _errors(self):
            system, path = self._located()
            return system.get_file_info(path)

    def _located(self) -> tuple[fs.FileSystem, str]:
        from pyarrow import fs

        if (store := store_of(self.uri)) is not None:
            path = self.uri.partition("://")[2]
            return store.file_system(path.partition("/")[0]), path
        if "://" in self.uri:
            return fs.FileSystem.from_uri(self.uri)
        return fs.LocalFileSystem(), self.uri


@contextmanager
def _errors(file: DataFile) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        raise UnavailableError(f"{file.uri} can't be read: {err}.") from err
