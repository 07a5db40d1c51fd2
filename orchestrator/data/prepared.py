"""The prepared datasets of a storage: what there is, and taking one away."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.data.manifest import MANIFEST_FILE, Manifest
from orchestrator.data.published import read_manifest, withdraw
from orchestrator.driver_lock import is_driven
from orchestrator.errors import UnavailableError, UsageError
from orchestrator.storage.atomic import is_being_made, read_json, storage_errors
from orchestrator.storage.caches import shard_cache
from orchestrator.storage.objects import Objects
from orchestrator.storage.storage import Storage

#: End of the name of a folder that is not complete.
_UNFINISHED = ".unfinished"


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """One prepared dataset, or one that was begun."""

    #: Its folder.
    folder: Path
    #: What is in it; None: it is not complete, or damaged.
    manifest: Manifest | None
    #: Bytes that it takes.
    size_bytes: int
    #: When it was prepared.
    prepared_at: datetime
    #: Where it is published, if the storage is one of objects; the folder holds copies then.
    objects: Objects | None = None

    @property
    def name(self) -> str:
        """Name of the dataset."""
        return self.folder.parent.name

    @property
    def fingerprint(self) -> str:
        """The beginning of its fingerprint, by which it is found."""
        return self.folder.name.strip(".").removesuffix(_UNFINISHED)

    @property
    def unfinished(self) -> bool:
        """Whether preparing it was cut off; it goes on when it is asked for again."""
        return self.folder.name.endswith(_UNFINISHED)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        known = self.manifest
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "state": self.state,
            "rows": {s: known.rows(s) for s in known.splits} if known else {},
            "streams": known.streams if known else None,
            "classes": len(known.classes) if known else None,
            "size_bytes": self.size_bytes,
            "prepared_at": self.prepared_at.isoformat(),
            "origin": known.origin if known else None,
            "folder": str(self.folder) if self.objects is None else self.objects.address,
        }

    @property
    def state(self) -> str:
        """`ready`, `unfinished` or `damaged`."""
        if self.unfinished:
            return "unfinished"
        return "ready" if self.manifest else "damaged"


def list_prepared(storage: Storage) -> list[Prepared]:
    """Return all prepared datasets, by name, the newest first.

    Raises:
        UnavailableError: The storage can't be read.
    """
    with storage_errors(storage.datasets):
        folders = [f for f in storage.datasets.glob("*/*") if f.is_dir()]
        found = [_look_at(folder) for folder in folders]
    if storage.objects is not None:
        # Of what is not published, only what was begun here is more than a copy.
        found = [p for p in found if p.unfinished] + _list_published(storage)
    return sorted(found, key=lambda p: (p.name, -p.prepared_at.timestamp()))


def remove_prepared(storage: Storage, text: str) -> list[Prepared]:
    """Take prepared datasets away, and return them.

    Args:
        storage: Where they are; copies on this machine go as well.
        text: A dataset's name, for all of its; or the beginning of a fingerprint.

    Raises:
        UsageError: There is none, one is being prepared, or a run that goes on reads one.
        UnavailableError: The storage can't be written.
    """
    every = list_prepared(storage)
    chosen = [p for p in every if p.name == text] or [
        p for p in every if text and p.fingerprint.startswith(text)
    ]
    if not chosen:
        raise UsageError(
            f"There is no prepared dataset {text!r} in {storage}.",
            hint="`launch-job data ls` lists them.",
        )
    used = _in_use(storage)
    for prepared in chosen:
        if is_being_made(prepared.folder):
            raise UsageError(
                f"{prepared.name} {prepared.fingerprint} is being prepared.",
                hint="Wait for its end, or stop what prepares it.",
            )
        for mark, run in used.items():
            if mark.startswith(prepared.fingerprint):
                raise UsageError(
                    f"{prepared.name} {prepared.fingerprint} is being read by run {run}.",
                    hint=f"Wait for its end, or `launch-job stop {run}`.",
                )
    for prepared in chosen:
        if prepared.objects is not None:
            withdraw(prepared.objects)
        if prepared.folder.is_dir():
            _remove(prepared.folder)
        if (copies := shard_cache(prepared.name, prepared.fingerprint)).is_dir():
            _remove(copies)
    return chosen


def _list_published(storage: Storage) -> list[Prepared]:
    assert storage.objects is not None
    datasets = storage.objects.within("datasets")
    return [
        _look_at_published(storage.dataset(name, mark), datasets.within(name, mark))
        for name in datasets.folders()
        for mark in datasets.within(name).folders()
    ]


def _look_at_published(folder: Path, objects: Objects) -> Prepared:
    states = objects.states()
    try:
        manifest = read_manifest(objects)
    except UnavailableError:
        manifest = None  # It is listed as damaged.
    newest_ns = max((state.written_ns for state in states.values()), default=0)
    return Prepared(
        folder=folder,
        manifest=manifest,
        size_bytes=sum(state.size_bytes for state in states.values()),
        prepared_at=datetime.fromtimestamp(newest_ns / 1e9, UTC),
        objects=objects,
    )


def _look_at(folder: Path) -> Prepared:
    manifest = None
    if (folder / MANIFEST_FILE).is_file() and not folder.name.startswith("."):
        try:
            manifest = Manifest.read(folder)
        except UnavailableError:
            manifest = None  # It is listed as damaged.
    # Files have holes until they are filled: what they take is what counts.
    size = sum(f.stat().st_blocks * 512 for f in folder.rglob("*") if f.is_file())
    at = datetime.fromtimestamp(folder.stat().st_mtime, UTC)
    return Prepared(folder=folder, manifest=manifest, size_bytes=size, prepared_at=at)


def _in_use(storage: Storage) -> dict[str, str]:
    """Return fingerprints of the datasets of runs that go on, each with its run."""
    runs = [storage.run(run_id) for run_id in storage.run_ids()]
    specs = {run.run_id: read_json(run.spec) for run in runs if is_driven(run)}
    return {spec.get("dataset_fingerprint", "-"): run for run, spec in specs.items()}


def _remove(folder: Path) -> None:
    """Remove a folder so that nobody finds half of it."""
    hidden = folder.with_name(f".{folder.name.strip('.')}.removed")
    with storage_errors(folder):
        os.rename(folder, hidden)
        shutil.rmtree(hidden)
        if not any(folder.parent.iterdir()):
            folder.parent.rmdir()
