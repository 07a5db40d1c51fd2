"""Preparing: deal a source's rows out to streams and write them as shards, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.data.blocks import blocks
from orchestrator.data.manifest import MANIFEST_FILE, Manifest, Shard, fingerprint
from orchestrator.data.order import ROUNDS_PER_BLOCK, deal_block
from orchestrator.data.shards import check_shard, damaged, stored_columns
from orchestrator.data.source import Source
from orchestrator.data.spool import Spool, sha256_of
from orchestrator.errors import UnavailableError
from orchestrator.storage import Storage, check_name, new_folder, write_json

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
        UnavailableError: The storage can't be written or is full, or shards that were written
            earlier are damaged.
    """
    mark = fingerprint(dataset, source, streams=streams, seed=seed)
    folder = storage.dataset(dataset, mark)
    if (found := _find(folder, mark)) is not None:
        return PreparedDataset(folder=folder, manifest=found, cached=True)
    with new_folder(folder) as temporary:
        splits = {
            name: _write_split(temporary, name, source, streams, seed, progress)
            for name in source.splits
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
    found = _find(folder, fingerprint)
    if found is None:
        return None
    return PreparedDataset(folder=folder, manifest=found, cached=True)


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


def _find(folder: Path, mark: str) -> Manifest | None:
    """Return the manifest of a prepared dataset that can be used as it is, if there is one."""
    if not folder.is_dir():
        return None
    manifest = Manifest.read(folder)
    if manifest.fingerprint != mark:
        raise UnavailableError(
            f"{folder} holds another dataset than its name says.",
            hint=f"Remove {folder}; the next run prepares it anew.",
        )
    for shards in manifest.splits.values():
        for shard in shards:
            check_shard(folder, shard)
    return manifest


def _write_split(
    folder: Path,
    split: str,
    source: Source,
    streams: int,
    seed: int,
    progress: PrepareProgress | None,
) -> tuple[Shard, ...]:
    check_name(split, what="split")
    spool = Spool(folder / f".{split}", stored_columns(source.features, source.label), streams)
    done = 0
    for number, block in enumerate(blocks(source, split, size=ROUNDS_PER_BLOCK * streams)):
        size = len(block[source.label.name])
        spool.append(block, deal_block(block=number, rows=size, streams=streams, seed=seed))
        done += size
        if progress is not None:
            progress(split, done, source.splits[split].rows)
    return spool.write_shards(folder, split)
