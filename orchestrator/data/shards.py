"""Shards: one Arrow IPC file a stream, mapped into memory and read without a copy.

Each file is one record batch, so every column of a stream is one contiguous array. Columns of
arrays are `fixed_shape_tensor`s; scalars are plain; none has nulls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def write_shard(path: Path, columns: Sequence[Column], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write one stream.

    Args:
        path: File to write.
        columns: Columns of the shard.
        arrays: `(rows, *shape)` for each column; they may be memory-mapped.
    """
    import pyarrow as pa

    fields = [pa.field(c.name, _arrow_type(c), nullable=False) for c in columns]
    batch = pa.record_batch(
        [_to_arrow(c, arrays[c.name]) for c in columns], schema=pa.schema(fields)
    )
    # A stream may hold 2^31 elements and more, which IPC refuses unless it is told otherwise.
    options = pa.ipc.IpcWriteOptions(allow_64bit=True)
    with (
        pa.OSFile(str(path), "wb") as file,
        pa.ipc.new_file(file, batch.schema, options=options) as writer,
    ):
        writer.write_batch(batch)


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
    path = folder / shard.file
    check_shard(folder, shard)
    try:
        file = pa.ipc.open_file(pa.memory_map(str(path)))
        batch = file.get_batch(0)
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


def _arrow_type(column: Column) -> pa.DataType:
    import numpy as np
    import pyarrow as pa

    element = pa.from_numpy_dtype(np.dtype(column.dtype))
    return pa.fixed_shape_tensor(element, column.shape) if column.shape else element


def _to_arrow(column: Column, values: NDArray[Any]) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    flat = np.ascontiguousarray(values).reshape(-1)
    element = pa.from_numpy_dtype(flat.dtype)
    array = pa.Array.from_buffers(element, len(flat), [None, pa.py_buffer(flat)])
    if not column.shape:
        return array
    size = int(np.prod(column.shape))
    rows = pa.FixedSizeListArray.from_arrays(array, size)
    return pa.ExtensionArray.from_storage(_arrow_type(column), rows)


def _to_numpy(column: Column, array: pa.Array) -> NDArray[Any]:
    values = array.storage.flatten() if column.shape else array
    return values.to_numpy(zero_copy_only=True).reshape(len(array), *column.shape)
