"""What a dataset hands over: rows, in batches, with a name for every column.

A source is read once, when it is sharded; after that everything reads the shards. It says
beforehand what it will yield (columns, rows, a digest), so that a fingerprint and a plan exist
before the first byte is read.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.catalog.info import Column
from orchestrator.errors import UnavailableError
from orchestrator.storage.atomic import read_json, write_json

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Batch", "Column", "Source", "SourceContext", "Split", "counted", "in_memory"]

#: Rows of every column, by column name; all arrays have the same first dimension.
Batch = Mapping[str, "np.ndarray[Any, Any]"]


@dataclass(frozen=True, kw_only=True)
class Split:
    """One part of a dataset."""

    #: Number of rows that `read` yields altogether.
    rows: int
    #: Start reading from the first row; batches may be of any size.
    read: Callable[[], Iterator[Batch]]
    #: Start reading from a row, given its number; None: rows come one after the other, from the
    #: first. Where it is there, several processes may read the split at once.
    read_from: Callable[[int], Iterator[Batch]] | None = None

    def batches(self, first: int = 0) -> Iterator[Batch]:
        """Start reading from a row."""
        if not first:
            yield from self.read()
        elif self.read_from is not None:
            yield from self.read_from(first)
        else:
            for batch in self.read():
                rows = len(next(iter(batch.values())))
                if rows > first:
                    yield {name: values[first:] for name, values in batch.items()}
                first = max(0, first - rows)


@dataclass(frozen=True, kw_only=True)
class Source:
    """A dataset that is ready to be read.

    Raises:
        ValueError: The label is not a scalar integer column, two columns have one name, one is of
            a type that can't be stored, or `train` or `test` is missing.
    """

    #: Model inputs.
    features: tuple[Column, ...]
    #: The column to learn: a class index in `range(len(classes))`.
    label: Column
    #: Name of each class, by index.
    classes: tuple[str, ...]
    #: The splits; `train` and `test` are always there.
    splits: Mapping[str, Split]
    #: SHA-256 that changes when any row would change.
    digest: str
    #: Where the rows come from, for people to read.
    origin: str

    def __post_init__(self) -> None:
        if self.label.shape:
            raise ValueError(f"the label must be a scalar, not of shape {self.label.shape}")
        if not self.label.dtype.startswith(("int", "uint")):
            raise ValueError(f"the label must be an integer, not {self.label.dtype}")
        if len({column.name for column in self.columns}) <= len(self.features):
            raise ValueError(f"columns share a name: {[column.name for column in self.columns]}")
        for column in self.columns:
            if column.numpy_dtype.kind not in "iufS":
                raise ValueError(
                    f"column {column.name!r} can't be of {column.dtype}: take a number, such as "
                    "uint8 for yes and no, or S12 for text"
                )
        if not {"train", "test"} <= set(self.splits):
            raise ValueError(f"splits train and test are needed, not {sorted(self.splits)}")

    @property
    def columns(self) -> tuple[Column, ...]:
        """Features, then the label."""
        return (*self.features, self.label)


def in_memory(batch: Batch, *, batch_rows: int = 4096) -> Split:
    """Make a split of arrays that are in memory already.

    Args:
        batch: The rows of every column.
        batch_rows: Rows to hand over at a time.
    """
    rows = len(next(iter(batch.values())))

    def read(first: int = 0) -> Iterator[Batch]:
        for at in range(first, rows, batch_rows):
            yield {name: values[at : at + batch_rows] for name, values in batch.items()}

    return Split(rows=rows, read=read, read_from=read)


def _silent(message: str, done: int, total: int | None) -> None:
    """Report progress to nobody."""


@dataclass(frozen=True, kw_only=True)
class SourceContext:
    """What a dataset may need to find its files."""

    #: Folder that the user named with --data-dir; None: none was named.
    data_dir: Path | None
    #: Folder for downloads, kept between runs. It may not exist yet.
    cache_dir: Path
    #: Called with (what is being done, bytes done, bytes in all or None) during long work.
    progress: Callable[[str, int, int | None], None] = field(default=_silent)


def counted(
    read: Callable[[], Iterator[Batch]], *, name: str, digest: str, context: SourceContext
) -> Split:
    """Make a split of rows that come without their number, such as those of a generator.

    They are read through to be counted. The count is kept in the cache, so that this happens once
    for each digest.

    Args:
        read: Starts reading from the first row, with the same rows each time.
        name: Name of the split.
        digest: The source's: it changes when any row would change.
        context: Told how far it is.
    """
    key = hashlib.sha256(repr((name, digest)).encode()).hexdigest()
    kept = context.cache_dir / "counts" / f"{key}.json"
    with contextlib.suppress(UnavailableError, KeyError, TypeError):
        return Split(rows=int(read_json(kept)["rows"]), read=read)
    rows = 0
    for batch in read():
        rows += len(next(iter(batch.values())))
        context.progress(f"Counting rows of {name}", rows, None)
    # Where there is no room for a note, the next run counts again.
    with contextlib.suppress(UnavailableError):
        write_json(kept, {"rows": rows})
    return Split(rows=rows, read=read)
