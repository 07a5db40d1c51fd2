"""Preparing: deal a source's rows out to streams and write them as shards, once.

Rows are appended to one plain file a stream and column as they come, and each stream is then
written as one record batch from a memory map of those files. Memory holds one block of rows,
whatever the dataset's size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.data.manifest import MANIFEST_FILE, ROW_COLUMN, Manifest, Shard, fingerprint
from orchestrator.data.order import ROUNDS_PER_BLOCK, deal_block
from orchestrator.data.shards import check_shard, stored_columns, write_shard
from orchestrator.data.source import Batch, Column, Source, Split
from orchestrator.errors import UnavailableError, UsageError
from orchestrator.storage import Storage, new_folder, write_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Called with (split, rows done, rows in all) while rows are written.
PrepareProgress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class PreparedDataset:
    """A dataset as shards."""

    #: The folder that holds them.
    folder: Path
    #: What is in it.
    manifest: Manifest
    #: Whether it was there already.
    cached: bool


def prepare(
    dataset: str,
    source: Source,
    *,
    streams: int,
    storage: Storage,
    seed: int = 0,
    progress: PrepareProgress | None = None,
) -> PreparedDataset:
    """Return a dataset's shards, writing them if they aren't there.

    Args:
        dataset: Name of the dataset.
        source: Where its rows come from.
        streams: Number of streams, S.
        storage: Where to keep them.
        seed: Seed of the dealing.
        progress: Told how many rows are done.

    Raises:
        UsageError: The source yields something else than it declared.
        UnavailableError: The storage can't be written or is full.
    """
    mark = fingerprint(dataset, source, streams=streams, seed=seed)
    folder = storage.dataset(dataset, mark)
    if (found := _find(folder, mark)) is not None:
        return PreparedDataset(folder=folder, manifest=found, cached=True)
    with new_folder(folder) as temporary:
        splits = {
            name: _write_split(temporary, name, split, source, streams, seed, progress)
            for name, split in source.splits.items()
        }
        manifest = Manifest(
            dataset=dataset,
            fingerprint=mark,
            origin=source.origin,
            source_digest=source.digest,
            features=source.features,
            label=source.label,
            classes=source.classes,
            streams=streams,
            splits=splits,
        )
        write_json(temporary / MANIFEST_FILE, manifest.to_dict())
    return PreparedDataset(folder=folder, manifest=Manifest.read(folder), cached=False)


def verify(prepared: PreparedDataset) -> None:
    """Compare every shard with its digest.

    Raises:
        UnavailableError: One is missing or differs.
    """
    for shards in prepared.manifest.splits.values():
        for shard in shards:
            check_shard(prepared.folder, shard)
            if _sha256(prepared.folder / shard.file) != shard.sha256:
                raise UnavailableError(
                    f"{prepared.folder / shard.file} is damaged: its SHA-256 is not the manifest's.",
                    hint=f"Remove {prepared.folder}; the next run prepares it anew.",
                )


def _find(folder: Path, mark: str) -> Manifest | None:
    """Return the manifest of a prepared dataset that can be used as it is, if there is one."""
    if not (folder / MANIFEST_FILE).is_file():
        return None
    manifest = Manifest.read(folder)
    if manifest.fingerprint != mark:
        raise UnavailableError(
            f"{folder} holds another dataset than its name says.", hint=f"Remove {folder}."
        )
    for shards in manifest.splits.values():
        for shard in shards:
            check_shard(folder, shard)
    return manifest


def _write_split(
    folder: Path,
    name: str,
    split: Split,
    source: Source,
    streams: int,
    seed: int,
    progress: PrepareProgress | None,
) -> tuple[Shard, ...]:
    columns = stored_columns(source.features, source.label)
    parts = _Parts(folder / f".{name}", columns, streams)
    done = 0
    for block, rows in enumerate(_blocks(split, source, name, ROUNDS_PER_BLOCK * streams)):
        size = len(rows[ROW_COLUMN])
        parts.append(rows, deal_block(block=block, rows=size, streams=streams, seed=seed))
        done += size
        if progress is not None:
            progress(name, done, split.rows)
    if done != split.rows:
        raise UsageError(f"Split {name} has {done} rows; its source declared {split.rows}.")
    (folder / name).mkdir()
    return tuple(parts.close(stream, folder, name) for stream in range(streams))


def _blocks(
    split: Split, source: Source, name: str, size: int
) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield the rows of a split, checked and numbered, `size` at a time."""
    import numpy as np

    waiting: list[Batch] = []
    held = number = 0

    def block(batches: Sequence[Batch]) -> dict[str, NDArray[Any]]:
        return {c.name: np.concatenate([b[c.name] for b in batches]) for c in source.columns}

    def numbered(rows: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        count = len(rows[source.label.name])
        return {**rows, ROW_COLUMN: np.arange(number, number + count, dtype=np.int64)}

    for batch in split.read():
        waiting.append(_checked(batch, source, name))
        held += len(batch[source.label.name])
        while held >= size:
            rows = block(waiting)
            yield numbered({key: values[:size] for key, values in rows.items()})
            waiting = [{key: values[size:] for key, values in rows.items()}]
            held, number = held - size, number + size
    if held:
        yield numbered(block(waiting))


def _checked(batch: Batch, source: Source, name: str) -> Batch:
    """Return a batch if it is what its source declared."""
    lengths = {len(batch[c.name]) for c in source.columns if c.name in batch}
    if len(lengths) != 1:
        raise UsageError(f"Split {name}: columns of one batch have different lengths.")
    for column in source.columns:
        got = batch.get(column.name)
        if got is None:
            raise UsageError(f"Split {name} lacks column {column.name!r}.")
        if got.dtype.name != column.dtype or got.shape[1:] != column.shape:
            raise UsageError(
                f"Split {name}: column {column.name!r} is {got.dtype.name}{list(got.shape[1:])}; "
                f"its source declared {column.dtype}{list(column.shape)}."
            )
    labels = batch[source.label.name]
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(source.classes):
        raise UsageError(
            f"Split {name} has a label outside 0 … {len(source.classes) - 1}: "
            f"{labels.min()} … {labels.max()}."
        )
    return batch


class _Parts:
    """The rows of each stream that were written so far: one plain file a column."""

    def __init__(self, folder: Path, columns: Sequence[Column], streams: int) -> None:
        self._folder = folder
        self._columns = columns
        self._rows = [0] * streams
        folder.mkdir()

    def append(self, rows: Batch, stream_of: NDArray[Any]) -> None:
        """Add each row to the stream it was dealt to, in the order of the rows."""
        import numpy as np

        order = np.argsort(stream_of, kind="stable")
        counts = np.bincount(stream_of, minlength=len(self._rows))
        ends = np.cumsum(counts)
        for column in self._columns:
            values = rows[column.name][order]
            for stream, (end, count) in enumerate(zip(ends, counts, strict=True)):
                with self._path(stream, column).open("ab") as file:
                    file.write(values[end - count : end].tobytes())
        for stream, count in enumerate(counts.tolist()):
            self._rows[stream] += count

    def close(self, stream: int, folder: Path, split: str) -> Shard:
        """Write a stream's shard and drop its parts."""
        file = f"{split}/stream-{stream:04d}.arrow"
        write_shard(
            folder / file, self._columns, {c.name: self._map(stream, c) for c in self._columns}
        )
        for column in self._columns:
            self._path(stream, column).unlink(missing_ok=True)
        if stream == len(self._rows) - 1:
            self._folder.rmdir()
        path = folder / file
        return Shard(
            file=file,
            rows=self._rows[stream],
            size_bytes=path.stat().st_size,
            sha256=_sha256(path),
        )

    def _map(self, stream: int, column: Column) -> NDArray[Any]:
        import numpy as np

        shape = (self._rows[stream], *column.shape)
        if self._rows[stream] == 0:
            return np.empty(shape, column.dtype)
        return np.memmap(self._path(stream, column), dtype=column.dtype, mode="r", shape=shape)

    def _path(self, stream: int, column: Column) -> Path:
        return self._folder / f"{stream:04d}.{column.name}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
