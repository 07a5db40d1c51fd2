"""Preparing: deal a source's rows out to streams and write them as shards, once."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.data.manifest import MANIFEST_FILE, Manifest, fingerprint
from orchestrator.data.portion import NOTES, Portion, portions
from orchestrator.data.published import find_published, publish
from orchestrator.data.shard_writer import ShardWriter
from orchestrator.data.shards import check_shard, damaged, sha256_of, stored_columns
from orchestrator.data.source import Source
from orchestrator.data.statistics import statistics_of
from orchestrator.errors import UnavailableError
from orchestrator.storage.atomic import storage_errors, unfinished_folder, write_json
from orchestrator.storage.objects import Objects
from orchestrator.storage.storage import Storage, check_name

#: Called with (split, rows done, rows in all) while rows are written.
PrepareProgress = Callable[[str, int, int], None]

#: Calls a function with each of some portions, by several processes; and another, now and then.
Each = Callable[[Callable[[Portion], None], Sequence[Portion], Callable[[], None]], None]


@dataclass(frozen=True, kw_only=True)
class PreparedDataset:
    """A dataset as shards."""

    #: The folder that holds them.
    folder: Path
    #: What is in it.
    manifest: Manifest
    #: Whether it was there already.
    cached: bool
    #: Where it is published, if the storage is one of objects; the folder holds copies then.
    objects: Objects | None = None

    @property
    def where(self) -> str:
        """Path or address of what others find."""
        return str(self.folder) if self.objects is None else self.objects.address


def prepare(
    dataset: str,
    source: Source,
    *,
    streams: int,
    storage: Storage,
    seed: int = 0,
    progress: PrepareProgress | None = None,
    each: Each | None = None,
) -> PreparedDataset:
    """Return a dataset's shards, writing them if they aren't there.

    Args:
        dataset: Name of the dataset.
        source: Where its rows come from.
        streams: Number of streams, S.
        storage: Where to keep them.
        seed: Seed of the dealing.
        progress: Told how many rows are done.
        each: Has several processes work on a dataset that is large; without it, this one does all.

    Raises:
        UsageError: The source yields something else than it declared.
        UnavailableError: The storage can't be written or is full, or shards that were written
            earlier are damaged.
    """
    mark = fingerprint(dataset, source, streams=streams, seed=seed)
    if (ready := find_prepared(dataset, mark, storage=storage)) is not None:
        return ready
    folder = storage.dataset(dataset, mark)
    objects = storage.published(folder)
    with unfinished_folder(folder) as unfinished:
        if unfinished is not None:
            writers = _laid_out(unfinished, source, streams)
            _bring([portions(source, writer, seed=seed) for writer in writers], progress, each)
            shards = {writer.split: writer.finish() for writer in writers}
            shutil.rmtree(unfinished / NOTES)
            manifest = Manifest(
                dataset=dataset,
                fingerprint=mark,
                origin=source.origin,
                source_digest=source.digest,
                features=source.features,
                label=source.label,
                classes=source.classes,
                streams=streams,
                splits=shards,
            )
            known = dataclasses.replace(manifest, statistics=statistics_of(unfinished, manifest))
            write_json(unfinished / MANIFEST_FILE, known.to_dict())
    prepared = PreparedDataset(
        folder=folder, manifest=Manifest.read(folder), cached=unfinished is None, objects=objects
    )
    if objects is not None:
        publish(objects, folder, prepared.manifest)
    return prepared


def find_prepared(dataset: str, fingerprint: str, *, storage: Storage) -> PreparedDataset | None:
    """Return a dataset's shards if they were prepared before; None if they aren't there.

    Args:
        dataset: Name of the dataset.
        fingerprint: Fingerprint of the shards.
        storage: Where they are kept.

    Raises:
        UnavailableError: They are damaged.
    """
    folder = storage.dataset(dataset, fingerprint)
    objects = storage.published(folder)
    found = _find(folder) if objects is None else find_published(objects, folder)
    if found is None:
        return None
    if found.fingerprint != fingerprint:
        where = folder if objects is None else objects.address
        raise UnavailableError(
            f"{where} holds another dataset than its name says.",
            hint=f"Remove {where}; the next run prepares it anew.",
        )
    return PreparedDataset(folder=folder, manifest=found, cached=True, objects=objects)


def verify(prepared: PreparedDataset) -> None:
    """Compare every shard with its digest.

    Raises:
        UnavailableError: One is missing or differs.
    """
    for shards in prepared.manifest.splits.values():
        for shard in shards:
            check_shard(prepared.folder, shard)
            if sha256_of(prepared.folder / shard.file) != shard.sha256:
                raise damaged(prepared.folder, shard, "its SHA-256 is not the manifest's")


def _find(folder: Path) -> Manifest | None:
    """Return the manifest of a prepared dataset that can be used as it is, if there is one."""
    if not folder.is_dir():
        return None
    manifest = Manifest.read(folder)
    for shards in manifest.splits.values():
        for shard in shards:
            check_shard(folder, shard)
    return manifest


def _laid_out(folder: Path, source: Source, streams: int) -> list[ShardWriter]:
    """Return the writer of each split, with all files there to be filled."""
    writers = [
        ShardWriter(
            folder=folder,
            split=check_name(name, what="split"),
            columns=stored_columns(source.features, source.label),
            rows=split.rows,
            streams=streams,
        )
        for name, split in source.splits.items()
    ]
    if not (folder / NOTES).is_dir():
        for writer in writers:
            writer.lay_out()
        (folder / NOTES).mkdir()  # It says that all files are there.
    return writers


def _bring(
    splits: Sequence[Sequence[Portion]], progress: PrepareProgress | None, each: Each | None
) -> None:
    """Bring in all portions of all splits, telling how far each split is."""
    every = [portion for split in splits for portion in split]

    def tell() -> None:
        if progress is None:
            return
        for split in splits:
            progress(split[0].writer.split, sum(p.noted_rows for p in split), split[0].writer.rows)

    if each is not None and len(every) > len(splits):
        each(_bring_quietly, every, tell)
        tell()
        return
    for portion in every:

        def tell_rows(done: int, portion: Portion = portion) -> None:
            if progress is not None:
                writer = portion.writer
                progress(writer.split, portion.first + done, writer.rows)

        portion.bring(tell_rows)


def _bring_quietly(portion: Portion) -> None:
    """Bring a portion in where nobody looks on: its notes tell how far it is."""
    with storage_errors(portion.writer.folder):
        portion.bring(lambda done: None)
