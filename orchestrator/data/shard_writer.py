"""Shards while they are written: laid out for all their rows first, then filled in any order.

An Arrow record batch has to say how long it is before its first byte, and one record batch a stream
is what makes a column one contiguous array. The number of rows is known beforehand, so Arrow writes
the file around columns that are left as holes, and rows go straight to their places: each byte is
written once, by whichever process has it, and memory holds only what is on its way.
"""

from __future__ import annotations

import io
import mmap
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.data.manifest import Shard
from orchestrator.data.order import stream_rows
from orchestrator.data.shards import read_batch, schema_of, sha256_of, to_arrow
from orchestrator.data.source import Column

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

#: Writes of this size and more are columns, which stay holes; headers are smaller.
_HOLE_BYTES = 64 << 10


@dataclass(frozen=True, kw_only=True)
class ShardWriter:
    """Writes the shards of one split, whose rows are dealt to streams in rounds of one each."""

    #: Folder of the prepared dataset.
    folder: Path
    #: Name of the split.
    split: str
    #: Columns of the shards.
    columns: Sequence[Column]
    #: Rows of the split.
    rows: int
    #: Streams that they are dealt to, S.
    streams: int

    def lay_out(self) -> None:
        """Make all files, with holes for their rows.

        Raises:
            OSError: The storage can't be written.
        """
        (self.folder / self.split).mkdir(exist_ok=True)
        for stream in range(self.streams):
            _write_around_holes(self._path(stream), self._empty(self._rows(stream)))

    def write(self, first: int, rows: Mapping[str, NDArray[Any]], stream_of: NDArray[Any]) -> None:
        """Put rows into their places.

        Args:
            first: Number of the first row in the split, a multiple of S.
            rows: `(rows, *shape)` for each column: whole rounds, but for the split's last.
            stream_of: `(rows,)`: the stream of each.

        Raises:
            OSError: The storage can't be written.
        """
        import numpy as np

        order = np.argsort(stream_of, kind="stable")
        counts = np.bincount(stream_of, minlength=self.streams)
        ends = np.cumsum(counts)
        dealt = {c.name: np.take(rows[c.name], order, axis=0) for c in self.columns}
        for stream in np.flatnonzero(counts).tolist():
            own = slice(int(ends[stream] - counts[stream]), int(ends[stream]))
            with _opened(self._path(stream)) as file:
                for column, start in zip(self.columns, self._starts(stream), strict=True):
                    values = dealt[column.name][own]
                    at = start + first // self.streams * values[:1].nbytes
                    _write_at(file, values, at)

    def sync(self) -> None:
        """Bring to disk what was written."""
        for stream in range(self.streams):
            with _opened(self._path(stream)) as file:
                os.fsync(file)

    def finish(self) -> tuple[Shard, ...]:
        """Return what a manifest says of the shards, once all their rows are on disk."""
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            return tuple(pool.map(self._shard, range(self.streams)))

    def _shard(self, stream: int) -> Shard:
        path = self._path(stream)
        return Shard(
            file=str(path.relative_to(self.folder)),
            rows=self._rows(stream),
            size_bytes=path.stat().st_size,
            sha256=sha256_of(path),
        )

    def _path(self, stream: int) -> Path:
        return self.folder / self.split / f"stream-{stream:04d}.arrow"

    def _rows(self, stream: int) -> int:
        return stream_rows(rows=self.rows, streams=self.streams, stream=stream)

    def _empty(self, rows: int) -> pa.RecordBatch:
        """Return a batch of zeros that takes no memory: pages that nobody has written."""
        import numpy as np
        import pyarrow as pa

        arrays = []
        for column in self.columns:
            size = rows * column.row_bytes
            zeros = mmap.mmap(-1, size) if size else b""
            values = np.frombuffer(zeros, column.numpy_dtype).reshape(rows, *column.shape)
            arrays.append(to_arrow(column, values))
        return pa.record_batch(arrays, schema=schema_of(self.columns))

    def _starts(self, stream: int) -> list[int]:
        """Return where in its file each column of a stream begins."""
        # There are two layouts: that of streams with one row more, and that of the others.
        return self._layouts[self._rows(stream)]

    @cached_property
    def _layouts(self) -> dict[int, list[int]]:
        kinds = {self._rows(stream): stream for stream in (0, self.streams - 1)}
        return {rows: _column_starts(self._path(stream)) for rows, stream in kinds.items()}


class _Holes(io.RawIOBase):
    """A file that is written but for its large parts."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        if size < _HOLE_BYTES:
            return self._file.write(data)
        self._file.seek(size, os.SEEK_CUR)
        return size

    def close(self) -> None:
        self._file.close()
        super().close()


def _write_around_holes(path: Path, batch: pa.RecordBatch) -> None:
    import pyarrow as pa

    # A stream may hold 2^31 elements and more, which IPC refuses unless it is told otherwise.
    options = pa.ipc.IpcWriteOptions(allow_64bit=True)
    with (
        _Holes(path) as file,
        pa.ipc.new_file(file, batch.schema, options=options) as writer,
    ):
        writer.write_batch(batch)


def _column_starts(path: Path) -> list[int]:
    """Return at which byte of a file the values of each column begin."""
    batch, base = read_batch(path)
    values = [column.buffers()[-1] for column in batch.columns]
    return [buffer.address - base if buffer else 0 for buffer in values]


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    file = os.open(path, os.O_WRONLY)
    try:
        yield file
    except OSError as err:
        raise OSError(err.errno, err.strerror, str(path)) from err
    finally:
        os.close(file)


def _write_at(file: int, values: NDArray[Any], at: int) -> None:
    data = values.reshape(-1).view("u1").data
    while data:
        written = os.pwrite(file, data, at)
        data, at = data[written:], at + written
