"""Rows on their way into shards: appended as they come to one plain file a stream and column.

An Arrow record batch has to know its length before its first byte, and one record batch a stream
is what makes a column one contiguous array. So rows wait in plain files, and a shard is written
from a memory map of its stream's: memory holds one block, whatever the dataset's size.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.data.manifest import Shard
from orchestrator.data.shards import write_shard
from orchestrator.data.source import Column

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Spool:
    """The rows of each stream of one split that were dealt so far.

    Args:
        folder: Folder to make; it is gone when the shards are written.
        columns: Columns of the rows.
        streams: Number of streams.
    """

    def __init__(self, folder: Path, columns: Sequence[Column], streams: int) -> None:
        self._folder = folder
        self._columns = columns
        self._rows = [0] * streams
        folder.mkdir()

    def append(self, rows: Mapping[str, NDArray[Any]], stream_of: NDArray[Any]) -> None:
        """Add rows to their streams, in the order of the rows.

        Args:
            rows: `(rows, *shape)` for each column.
            stream_of: `(rows,)`: the stream of each.
        """
        import numpy as np

        order = np.argsort(stream_of, kind="stable")
        counts = np.bincount(stream_of, minlength=len(self._rows)).tolist()
        for number, column in enumerate(self._columns):
            values, at = rows[column.name][order], 0
            for stream, count in enumerate(counts):
                with self._path(stream, number).open("ab") as file:
                    file.write(values[at : at + count].tobytes())
                at += count
        self._rows = [held + count for held, count in zip(self._rows, counts, strict=True)]

    def write_shards(self, folder: Path, split: str) -> tuple[Shard, ...]:
        """Write all shards of the split into a folder, freeing the space of the spool meanwhile."""
        (folder / split).mkdir()
        shards = tuple(self._write(folder, split, stream) for stream in range(len(self._rows)))
        self._folder.rmdir()
        return shards

    def _write(self, folder: Path, split: str, stream: int) -> Shard:
        name = f"{split}/stream-{stream:04d}.arrow"
        maps = {c.name: self._map(stream, number) for number, c in enumerate(self._columns)}
        write_shard(folder / name, self._columns, maps)
        with (folder / name).open("rb") as file:
            os.fsync(file.fileno())
        for number in range(len(self._columns)):
            self._path(stream, number).unlink(missing_ok=True)
        return Shard(
            file=name,
            rows=self._rows[stream],
            size_bytes=(folder / name).stat().st_size,
            sha256=sha256_of(folder / name),
        )

    def _map(self, stream: int, number: int) -> NDArray[Any]:
        import numpy as np

        column = self._columns[number]
        shape = (self._rows[stream], *column.shape)
        if 0 in shape:  # An empty file can't be mapped.
            return np.empty(shape, column.dtype)
        return np.memmap(self._path(stream, number), dtype=column.dtype, mode="r", shape=shape)

    def _path(self, stream: int, number: int) -> Path:
        return self._folder / f"{stream:04d}-{number:04d}"


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
