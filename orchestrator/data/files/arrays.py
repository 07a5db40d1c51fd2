"""NumPy arrays, in `.npy` and `.npz` files or in memory, as a table: each array is a column.

Files are read piece by piece, also those inside an archive, which NumPy would read as a whole.
"""

from __future__ import annotations

import hashlib
import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.data.files.file import DataFile
from orchestrator.data.files.tables import Progress
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

#: Bytes to read at a time.
_BLOCK_BYTES = 4 << 20


@dataclass(frozen=True, kw_only=True)
class StoredArray:
    """An array in an `.npy` file, or in one of an `.npz` archive."""

    #: The file, or the archive.
    file: DataFile
    #: Name of the array in the archive; None: the file is no archive.
    member: str | None = None

    @property
    def where(self) -> str:
        """What it is called in messages."""
        return f"{self.file}" if self.member is None else f"{self.file}, array {self.member!r}"

    @contextmanager
    def opened(self) -> Iterator[tuple[tuple[int, ...], np.dtype[Any], Any]]:
        """Open it; give its shape, its type, and a file that stands at its first element.

        Raises:
            UsageError: It is no array, or one that can't be read piece by piece.
        """
        import numpy as np

        with ExitStack() as stack:
            file: Any = stack.enter_context(self.file.open())
            try:
                if self.member is not None:
                    archive = stack.enter_context(zipfile.ZipFile(file))
                    file = stack.enter_context(archive.open(f"{self.member}.npy"))
                version = np.lib.format.read_magic(file)
                header = (
                    np.lib.format.read_array_header_1_0
                    if version == (1, 0)
                    else np.lib.format.read_array_header_2_0
                )
                shape, fortran, dtype = header(file)
            except (ValueError, zipfile.BadZipFile, EOFError) as err:
                raise UsageError(f"{self.where} is no NumPy array: {err}.") from err
            if dtype.hasobject:
                raise UsageError(
                    f"{self.where} holds Python objects, which are read by running what it says.",
                    hint="Save an array of numbers or text: numpy.save(…, allow_pickle=False).",
                )
            if fortran and len(shape) > 1:
                raise UsageError(
                    f"{self.where} lies column by column in its file.",
                    hint="Save it row by row: numpy.save(…, numpy.ascontiguousarray(array)).",
                )
            if not shape or not shape[0]:
                raise UsageError(f"{self.where} has no rows.")
            if 0 in shape:
                raise UsageError(f"{self.where} holds no values: its shape is {shape}.")
            yield shape, dtype, file

    def read(self, rows: int) -> Iterator[NDArray[Any]]:
        """Yield its rows, so many at a time.

        Raises:
            UsageError: The file is shorter than its array.
        """
        import numpy as np

        with self.opened() as (shape, dtype, file):
            row_bytes = math.prod(shape[1:]) * dtype.itemsize
            for first in range(0, shape[0], rows):
                count = min(rows, shape[0] - first)
                try:
                    data = _read_exactly(file, count * row_bytes)
                except (zipfile.BadZipFile, zlib.error, EOFError) as err:
                    raise UsageError(f"{self.where} is damaged: {err}.") from err
                if len(data) < count * row_bytes:
                    whole = first + len(data) // row_bytes
                    raise UsageError(
                        f"{self.where} is cut short: it ends after {whole} of {shape[0]} rows."
                    )
                yield np.frombuffer(data, dtype).reshape(count, *shape[1:])


@dataclass(frozen=True, kw_only=True)
class ArrayTable:
    """Arrays of as many rows each, as the columns of a table."""

    #: The arrays, by name.
    arrays: Mapping[str, StoredArray]
    #: What it is called in messages.
    where: str

    def names(self) -> list[str]:
        """Return the names of the arrays."""
        return list(self.arrays)

    def batches(self, progress: Progress) -> Iterator[pa.RecordBatch]:
        """Read all rows.

        Raises:
            UsageError: The arrays differ in length, or can't be read.
        """
        forms = {}
        for name, array in self.arrays.items():
            with array.opened() as (shape, dtype, _):
                forms[name] = (shape, dtype)
        rows = _same_rows({name: shape[0] for name, (shape, _) in forms.items()}, self.where)
        row_bytes = sum(math.prod(shape[1:]) * dtype.itemsize for shape, dtype in forms.values())
        size = max(1, _BLOCK_BYTES // row_bytes)
        readers = [array.read(size) for array in self.arrays.values()]
        done = 0
        for parts in zip(*readers, strict=True):
            yield record_batch(dict(zip(self.arrays, parts, strict=True)), self.where)
            done += len(parts[0])
            progress(done, rows)

    def digest(self) -> str:
        """Return a SHA-256 of the files and the names of the arrays."""
        files = sorted({array.file.uri for array in self.arrays.values()})
        digests = [DataFile(uri=uri).sha256() for uri in files]
        return hashlib.sha256(repr((digests, list(self.arrays))).encode()).hexdigest()

    def state(self) -> tuple[int, ...]:
        """Return size and time of each file."""
        files = sorted({array.file.uri for array in self.arrays.values()})
        return tuple(number for uri in files for number in DataFile(uri=uri).state)


@dataclass(frozen=True, kw_only=True)
class MemoryArrays:
    """Arrays in memory, as the columns of a table."""

    #: `(rows, *shape)` for each column.
    arrays: Mapping[str, NDArray[Any]]
    #: What it is called in messages.
    where: str = "the arrays"

    def names(self) -> list[str]:
        """Return the names of the arrays."""
        return list(self.arrays)

    def batches(self, progress: Progress) -> Iterator[pa.RecordBatch]:
        """Read all rows.

        Raises:
            UsageError: The arrays differ in length, or hold Python objects.
        """
        rows = _same_rows({name: len(array) for name, array in self.arrays.items()}, self.where)
        row_bytes = sum(array.nbytes for array in self.arrays.values()) // max(1, rows)
        size = max(1, _BLOCK_BYTES // max(1, row_bytes))
        for first in range(0, rows, size):
            parts = {name: array[first : first + size] for name, array in self.arrays.items()}
            yield record_batch(parts, self.where)
            progress(min(first + size, rows), rows)

    def digest(self) -> str:
        """Return the SHA-256 of all values."""
        import numpy as np

        digest = hashlib.sha256()
        for name, array in self.arrays.items():
            digest.update(repr((name, array.shape, array.dtype.str)).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def state(self) -> tuple[int, ...]:
        """Return nothing: the arrays are the caller's to leave alone."""
        return ()


def record_batch(arrays: Mapping[str, NDArray[Any]], where: str) -> pa.RecordBatch:
    """Return rows of arrays as a batch of a table.

    Raises:
        UsageError: One holds neither numbers nor text.
    """
    import pyarrow as pa

    return pa.record_batch(
        {name: _to_arrow(array, f"{where}, array {name!r}") for name, array in arrays.items()}
    )


def _to_arrow(array: NDArray[Any], where: str) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    if array.dtype.kind not in "biufUS":
        raise UsageError(f"{where} holds {array.dtype}, neither numbers nor text.")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    native = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False))
    if native.dtype.kind in "US":
        if native.ndim > 1:
            raise UsageError(f"{where} holds texts of shape {native.shape[1:]}, not one a row.")
        try:
            texts = native.tolist() if native.dtype.kind == "U" else np.char.decode(native, "utf-8")
        except UnicodeDecodeError as err:
            raise UsageError(f"{where} holds text that is not UTF-8: {err}.") from err
        return pa.array(list(texts), pa.string())
    if native.ndim == 1:
        return pa.array(native)
    if native.dtype.kind == "b":
        native = native.astype(np.uint8)
    return pa.FixedShapeTensorArray.from_numpy_ndarray(native)


def _same_rows(rows: Mapping[str, int], where: str) -> int:
    if len(set(rows.values())) != 1:
        lengths = ", ".join(f"{name} has {count}" for name, count in rows.items())
        raise UsageError(f"The arrays of {where} differ in rows: {lengths}.")
    return next(iter(rows.values()))


def members(file: DataFile) -> list[str]:
    """Return the names of an archive's arrays.

    Raises:
        UsageError: It is no archive of arrays, or one has a name that can't be.
    """
    try:
        with file.open() as opened, zipfile.ZipFile(opened) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError) as err:
        raise UsageError(f"{file} is no .npz file: {err}.") from err
    for name in names:
        if not name.endswith(".npy") or "/" in name or ".." in name:
            raise UsageError(f"{file} holds {name!r}, which is no array's name.")
    return [name.removesuffix(".npy") for name in names]


def _read_exactly(file: Any, size: int) -> bytes:
    parts: list[bytes] = []
    while size and (data := file.read(size)):
        parts.append(bytes(data))
        size -= len(data)
    return b"".join(parts) if len(parts) != 1 else parts[0]


def split_names(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return, by split, which array is which column, if names end as `x_train` and `y_test` do.

    Returns:
        Array names by column name, for `train` and `test`; for `all` if there are no such ends.
    """
    parts: dict[str, dict[str, str]] = {"train": {}, "test": {}}
    for name in names:
        column, _, part = name.rpartition("_")
        if part not in parts or not column:
            return {"all": {name: name for name in names}}
        parts[part][column] = name
    return parts if parts["test"] else {"all": {name: name for name in names}}
