"""Tables: CSV, Parquet and Arrow files, and tables in memory, read piece by piece.

What is read from CSV is text, whatever it looks like: of what type a column is can be told only
when all of it was seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from orchestrator.data.files.file import DataFile
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

#: Bytes to read at a time.
_BLOCK_BYTES = 4 << 20

#: Called with how far reading is, and how far it will go.
Progress = Callable[[int, int], None]


class Table(Protocol):
    """Rows of named columns, which can be read again and again."""

    @property
    def where(self) -> str:
        """What it is called in messages."""

    def names(self) -> list[str]:
        """Return the names of its columns."""

    def batches(self, progress: Progress) -> Iterator[pa.RecordBatch]:
        """Read all rows, in their order."""

    def digest(self) -> str:
        """Return a SHA-256 that changes with any value."""

    def state(self) -> tuple[int, ...]:
        """Return what is another if its files have changed; empty if it lies in memory."""


@dataclass(frozen=True, kw_only=True)
class FileTable:
    """A table in a file: CSV, Parquet, or Arrow's own format."""

    #: The file.
    file: DataFile

    @property
    def where(self) -> str:
        """The file's path."""
        return self.file.uri

    def names(self) -> list[str]:
        """Return the names of its columns.

        Raises:
            UsageError: It is empty, or not what its name says.
        """
        with self._reader() as (names, _):
            return names

    def batches(self, progress: Progress) -> Iterator[pa.RecordBatch]:
        """Read all rows.

        Raises:
            UsageError: It is damaged, or a row has too few or too many values.
        """
        with self._reader() as (_, read):
            yield from read(progress)

    def digest(self) -> str:
        """Return the SHA-256 of the file."""
        return self.file.sha256()

    def state(self) -> tuple[int, ...]:
        """Return size and time of the file."""
        return self.file.state

    @contextmanager
    def _reader(self) -> Iterator[tuple[list[str], Callable[[Progress], Iterator[Any]]]]:
        import pyarrow as pa

        if not self.file.state[0]:
            raise UsageError(f"{self.file} is empty.")
        opener = _READERS[self.file.suffix]
        invalid: list[str] = []
        try:
            with self.file.open() as file, opener(file, invalid) as (names, read):
                yield names, read
        except pa.ArrowInvalid as err:
            why = invalid[0] if invalid else f"it is no {self.file.suffix[1:]} file: {err}"
            hint = "Mend that row." if invalid else "Write it anew; text has to be UTF-8."
            raise UsageError(f"{self.file} can't be read: {why}.", hint=hint) from err


@dataclass(frozen=True, kw_only=True)
class MemoryTable:
    """A table in memory."""

    #: Its rows.
    table: pa.Table
    #: What it is called in messages.
    where: str = "the table"

    def names(self) -> list[str]:
        """Return the names of its columns."""
        return list(self.table.column_names)

    def batches(self, progress: Progress) -> Iterator[pa.RecordBatch]:
        """Read all rows."""
        done = 0
        for batch in self.table.to_batches(max_chunksize=_rows_at_a_time(self.table)):
            done += len(batch)
            yield batch
            progress(done, len(self.table))

    def digest(self) -> str:
        """Return the SHA-256 of the rows, written down as Arrow has them."""
        import pyarrow as pa

        digest = hashlib.sha256()
        whole = self.table.combine_chunks().replace_schema_metadata(None)
        with pa.ipc.new_stream(_Digested(digest), whole.schema) as writer:
            writer.write_table(whole)
        return digest.hexdigest()

    def state(self) -> tuple[int, ...]:
        """Return nothing: Arrow's tables can't change."""
        return ()


class _Digested:
    """A file that is not kept, only digested."""

    closed = False

    def __init__(self, digest: Any) -> None:
        self._digest = digest

    def write(self, data: Any) -> int:
        self._digest.update(data)
        return memoryview(data).nbytes

    def flush(self) -> None:
        pass


_Reading = tuple[list[str], Callable[[Progress], Iterator[Any]]]


@contextmanager
def _csv(file: Any, invalid: list[str]) -> Iterator[_Reading]:
    import pyarrow as pa
    from pyarrow import csv

    def refuse(row: Any) -> str:
        invalid.append(
            f"line {row.number} has {row.actual_columns} values, not {row.expected_columns}: "
            f"{row.text[:80]!r}"
        )
        return "error"

    how = {
        "read_options": csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
        "parse_options": csv.ParseOptions(invalid_row_handler=refuse, newlines_in_values=True),
    }
    with csv.open_csv(file, **how) as head:  # Types would be guessed from the first block alone.
        names = head.schema.names
    file.seek(0)
    size = file.size()

    def read(progress: Progress) -> Iterator[Any]:
        with csv.open_csv(
            file,
            **how,
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True
            ),
        ) as batches:
            for batch in batches:
                yield batch
                progress(file.tell(), size)

    yield names, read


@contextmanager
def _parquet(file: Any, invalid: list[str]) -> Iterator[_Reading]:
    from pyarrow import parquet

    table = parquet.ParquetFile(file)
    meta = table.metadata
    bytes_ = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
    rows = max(1, _BLOCK_BYTES * meta.num_rows // max(1, bytes_))

    def read(progress: Progress) -> Iterator[Any]:
        done = 0
        for batch in table.iter_batches(batch_size=min(rows, 1 << 16), use_threads=False):
            done += len(batch)
            yield batch
            progress(done, meta.num_rows)

    yield table.schema_arrow.names, read


@contextmanager
def _arrow(file: Any, invalid: list[str]) -> Iterator[_Reading]:
    import pyarrow as pa

    with pa.ipc.open_file(file) as batches:

        def read(progress: Progress) -> Iterator[Any]:
            for number in range(batches.num_record_batches):
                batch = batches.get_batch(number)
                size = max(1, _BLOCK_BYTES * len(batch) // max(1, batch.nbytes))
                for first in range(0, len(batch), size):
                    yield batch.slice(first, size)
                progress(number + 1, batches.num_record_batches)

        yield batches.schema.names, read


_READERS = {
    ".csv": _csv,
    ".parquet": _parquet,
    ".pq": _parquet,
    ".arrow": _arrow,
    ".feather": _arrow,
}

#: Ends of names of files that hold tables.
SUFFIXES = tuple(_READERS)


def _rows_at_a_time(table: pa.Table) -> int:
    return max(1, _BLOCK_BYTES * len(table) // max(1, table.nbytes))
