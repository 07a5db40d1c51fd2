"""Shards: one Arrow IPC file a stream, mapped into memory and read without a copy.

Each file is one record batch, so every column of a stream is one contiguous array. Columns of
arrays are `fixed_shape_tensor`s; scalars are plain; none has nulls.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.data.manifest import ROW_COLUMN, Manifest, Shard
from orchestrator.data.source import Column
from orchestrator.errors import UnavailableError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


def stored_columns(features: Sequence[Column], label: Column) -> tuple[Column, ...]:
    """Return the columns of a shard: the source's, then the number of the row."""
    return (*features, label, Column(name=ROW_COLUMN, dtype="int64"))


def schema_of(columns: Sequence[Column]) -> pa.Schema:
    """Return the Arrow schema of a shard's columns."""
    import pyarrow as pa

    return pa.schema([pa.field(c.name, _arrow_type(c), nullable=False) for c in columns])


def read_batch(path: Path) -> tuple[pa.RecordBatch, int]:
    """Map a shard's record batch into memory; return it and the address of the file's first byte.

    Raises:
        OSError: The file can't be read.
        pyarrow.ArrowException: It is no shard.
    """
    import pyarrow as pa

    mapped = pa.memory_map(str(path)).read_buffer()
    return pa.ipc.open_file(mapped).get_batch(0), mapped.address


def open_stream(
    folder: Path, manifest: Manifest, split: str, stream: int
) -> dict[str, NDArray[Any]]:
    """Map one stream into memory.

    Returns:
        `(rows, *shape)`, read-only, for each column.

    Raises:
        UnavailableError: The file is missing, cut short, or not what the manifest says.
    """
    import pyarrow as pa

    shard = manifest.splits[split][stream]
    columns = stored_columns(manifest.features, manifest.label)
    check_shard(folder, shard)
    try:
        batch, _ = read_batch(folder / shard.file)
        arrays = {c.name: _to_numpy(c, batch.column(c.name)) for c in columns}
    except (OSError, pa.ArrowException, KeyError, ValueError) as err:
        raise damaged(folder, shard, str(err)) from err
    if any(len(array) != shard.rows for array in arrays.values()):
        raise damaged(folder, shard, "it does not hold the rows that the manifest says")
    return arrays


def check_shard(folder: Path, shard: Shard) -> None:
    """Check that a shard's file is there and has the right size.

    Raises:
        UnavailableError: It isn't, or hasn't.
    """
    try:
        size = (folder / shard.file).stat().st_size
    except OSError as err:
        raise damaged(folder, shard, "it is missing") from err
    if size != shard.size_bytes:
        raise damaged(folder, shard, f"it has {size} bytes instead of {shard.size_bytes}")


def damaged(folder: Path, shard: Shard, why: str) -> UnavailableError:
    """Return the error for a shard that can't be used."""
    return UnavailableError(
        f"{folder / shard.file} can't be used: {why}.",
        hint=f"Remove {folder}; the next run prepares it anew.",
    )


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def to_arrow(column: Column, values: NDArray[Any]) -> pa.Array:
    """Return an Arrow array over the bytes of a column's contiguous values `(rows, *shape)`."""
    import pyarrow as pa

    flat = values.reshape(-1)
    buffers = [None, pa.py_buffer(flat.view("u1"))]
    array = pa.Array.from_buffers(_element_type(column), len(flat), buffers)
    if not column.shape:
        return array
    rows = pa.FixedSizeListArray.from_arrays(array, math.prod(column.shape))
    return pa.ExtensionArray.from_storage(_arrow_type(column), rows)


def _to_numpy(column: Column, array: pa.Array) -> NDArray[Any]:
    import numpy as np

    values = array.storage.flatten() if column.shape else array
    data = values.buffers()[-1] or b""
    flat = np.frombuffer(data, column.numpy_dtype, count=len(values))
    return flat.reshape(len(array), *column.shape)


def _arrow_type(column: Column) -> pa.DataType:
    import pyarrow as pa

    element = _element_type(column)
    return pa.fixed_shape_tensor(element, column.shape) if column.shape else element


def _element_type(column: Column) -> pa.DataType:
    import pyarrow as pa

    dtype = column.numpy_dtype
    return pa.binary(dtype.itemsize) if dtype.kind == "S" else pa.from_numpy_dtype(dtype)
