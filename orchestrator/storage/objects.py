"""What lies at an address of an object store, through pyarrow's file system.

An object is whole or not there.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from orchestrator.errors import UnavailableError, UsageError
from orchestrator.storage.atomic import storage_errors
from orchestrator.storage.object_stores import ObjectStore, store_of

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import fs

Result = TypeVar("Result")

#: Folders that this process has made where only those that were made are listed.
_MADE: set[str] = set()

#: Bytes that are fetched at a time.
_PIECE_BYTES = 8 << 20


@dataclass(frozen=True, kw_only=True)
class ObjectState:
    """What tells an object from the one that it replaces."""

    #: Its size.
    size_bytes: int
    #: When it was written, by the server's clock.
    written_ns: int


@dataclass(frozen=True, kw_only=True)
class Objects:
    """The objects whose names begin alike, as files in a folder do."""

    #: What they begin with, without a slash at the end.
    address: str

    @classmethod
    def at(cls, address: str) -> Objects:
        """Return the objects at an address of a store.

        Raises:
            UsageError: It names no bucket, or holds more than a place.
        """
        rest = address.partition("://")[2]
        scheme = _store(address).schemes[0]
        bucket, *parts = rest.rstrip("/").split("/")
        if "@" in bucket or "?" in rest or "#" in rest:
            raise UsageError(
                "The address of a storage is a bucket and a path: it would be written down with "
                "whatever else it holds.",
                hint="Keys and the server's address are read from the environment.",
            )
        if not bucket or "" in parts or {".", ".."} & set(parts):
            raise UsageError(
                f"{address} is no place for a storage.", hint=f"Write {scheme}bucket/path."
            )
        return cls(address=scheme + "/".join([bucket, *parts]))

    @cached_property
    def store(self) -> ObjectStore:
        """The service that keeps them."""
        return _store(self.address)

    def within(self, *names: str) -> Objects:
        """Return those in a folder of these."""
        return Objects(address="/".join([self.address, *names]))

    @property
    def name(self) -> str:
        """What the folder of these is called."""
        return self.address.rpartition("/")[2]

    @property
    def parent(self) -> Objects:
        """Those in the folder around."""
        return Objects(address=self.address.rpartition("/")[0])

    def read(self, name: str) -> bytes | None:
        """Return an object's content; None if there is none.

        Raises:
            UnavailableError: The storage can't be read.
        """

        def content() -> bytes:
            with self.open(name) as file:
                return _read(file)

        try:
            return self._steadily(name, content)
        except FileNotFoundError:
            return None

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[pa.NativeFile]:
        """Open an object to be read, at any place, by the block.

        Raises:
            FileNotFoundError: There is none.
            UnavailableError: The storage can't be read.
        """
        with self._errors(name, missing=True):
            system, path = self._located(name)
            with system.open_input_file(path) as file:
                yield file

    def write(self, name: str, content: bytes | pa.Buffer) -> None:
        """Write an object.

        Raises:
            UnavailableError: The storage can't be written.
        """
        with self._errors(name):
            system, path = self._located(name)
            if self.store.lists_made_folders:
                _make_folder(system, path.rpartition("/")[0])
            # In one call, so that no error of ours can close, and so finish, half of it.
            with system.open_output_stream(path) as file:
                file.write(content)

    def check_writable(self) -> None:
        """Prove that objects can be written here; nothing is left of that.

        Raises:
            UnavailableError: They can't.
        """
        self.write(name := f".probe-{secrets.token_hex(8)}", b"")
        self.remove(name)

    def upload(self, path: Path, name: str) -> None:
        """Write an object of a file's content, as it is now.

        Raises:
            FileNotFoundError: There is no such file any more.
            UnavailableError: The storage can't be written.
        """
        import pyarrow as pa

        if path.stat().st_size < _PIECE_BYTES:
            self.write(name, path.read_bytes())
        else:
            with pa.memory_map(str(path)) as file:
                self.write(name, file.read_buffer())

    def download(self, name: str, path: Path) -> None:
        """Bring an object to a file, which is whole or not there.

        Raises:
            FileNotFoundError: There is no such object.
            UnavailableError: The storage can't be read, or the file can't be written.
        """
        self._steadily(name, lambda: self._download(name, path))

    def _download(self, name: str, path: Path) -> None:
        with self.open(name) as source, storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            try:
                with os.fdopen(handle, "wb") as target:
                    while piece := _read(source, _PIECE_BYTES):
                        target.write(piece)
                os.chmod(temporary, 0o644)
                os.replace(temporary, path)
            except BaseException:
                os.unlink(temporary)
                raise

    def states(self, *, deep: bool = True) -> dict[str, ObjectState]:
        """Return all objects by name; only those that are in no further folder if not `deep`.

        Raises:
            UnavailableError: The storage can't be read.
        """
        from pyarrow import fs

        start = self._located("")[1]
        return {
            info.path[len(start) :]: ObjectState(
                size_bytes=info.size or 0, written_ns=info.mtime_ns or 0
            )
            for info in self._listed(deep=deep)
            if info.type == fs.FileType.File
        }

    def folders(self) -> list[str]:
        """Return the names of the folders in it, in order.

        Raises:
            UnavailableError: The storage can't be read.
        """
        from pyarrow import fs

        found = self._listed(deep=False)
        return sorted(info.base_name for info in found if info.type == fs.FileType.Directory)

    def remove(self, name: str) -> None:
        """Remove an object, if it is there.

        Raises:
            UnavailableError: The storage can't be written.
        """
        with self._errors(name), contextlib.suppress(FileNotFoundError):
            system, path = self._located(name)
            system.delete_file(path)

    def remove_folder(self, name: str) -> None:
        """Remove all objects of a folder in it, if there are any.

        Removing them one by one would leave an empty folder: pyarrow keeps it with an object.

        Raises:
            UnavailableError: The storage can't be written.
        """
        from pyarrow import fs

        with self._errors(name):
            system, path = self._located(name)
            # Other threads make and remove folders meanwhile.
            for made in _MADE.copy():
                if f"{made}/".startswith(f"{path}/"):
                    _MADE.discard(made)
            try:
                system.delete_dir(path)
            except OSError:  # Of which kind, if there is none, differs from store to store.
                if system.get_file_info(path).type != fs.FileType.NotFound:
                    raise

    def file_system(self) -> fs.FileSystem:
        """Return them as a file system of pyarrow's."""
        from pyarrow import fs

        system, path = self._located("")
        return fs.SubTreeFileSystem(path, system)

    def _listed(self, *, deep: bool) -> list[fs.FileInfo]:
        from pyarrow import fs

        with self._errors():
            system, path = self._located("")
            selector = fs.FileSelector(path.rstrip("/"), allow_not_found=True, recursive=deep)
            found: list[fs.FileInfo] = system.get_file_info(selector)
            if not found:
                _check_bucket(system, path)
            return found

    def _steadily(self, name: str, read: Callable[[], Result]) -> Result:
        """Read an object that others may replace or remove meanwhile.

        pyarrow asks for an object's size, then for so many bytes; if the object has gone in
        between, or has shrunk, it tells of a failure of the server.
        """
        try:
            return read()
        except UnavailableError:
            system, path = self._located(name)
            with self._errors(name):
                there = system.get_file_info(path).is_file
            if not there:
                raise FileNotFoundError(name) from None
            return read()

    def _located(self, name: str) -> tuple[fs.FileSystem, str]:
        rest = self.address.partition("://")[2]
        return self.store.file_system(rest.partition("/")[0]), f"{rest}/{name}"

    @contextlib.contextmanager
    def _errors(self, name: str = "", *, missing: bool = False) -> Iterator[None]:
        """Turn an error of a file system into one that names the address.

        Args:
            name: Of the object that is used.
            missing: Whether the caller wants to hear of what isn't there.
        """
        try:
            yield
        except OSError as err:
            if missing and isinstance(err, FileNotFoundError):
                raise
            address = f"{self.address}/{name}" if name else self.address
            # Google's client says all again after this word.
            said = " ".join(str(err).partition(" error_info=")[0].split())
            raise UnavailableError(f"Can't use {address}: {said}", hint=self.store.hint) from err


def _read(file: pa.NativeFile, size: int | None = None) -> bytes:
    """Read from an object, to its end or so many bytes.

    Raises:
        OSError: It can't be read. Google's file closes itself if its object goes.
    """
    try:
        return file.read(size)
    except ValueError as err:
        raise OSError(str(err)) from err


def _store(address: str) -> ObjectStore:
    found = store_of(address)
    assert found is not None, address
    return found


def _make_folder(system: fs.FileSystem, path: str) -> None:
    """Make a folder, and those around it, unless this process has done so."""
    if path not in _MADE:
        _check_bucket(system, path)  # Arrow would make one.
        system.create_dir(path)
        _MADE.add(path)


def _check_bucket(system: fs.FileSystem, path: str) -> None:
    from pyarrow import fs

    bucket = path.partition("/")[0]
    if system.get_file_info(bucket).type == fs.FileType.NotFound:
        raise FileNotFoundError(f"there is no bucket {bucket}")
