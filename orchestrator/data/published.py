"""A prepared dataset among the objects of a storage: shards first, the manifest last.

Its folder on this machine holds the manifest and copies of shards: all of them where it was
prepared, elsewhere those that workers have needed.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from orchestrator.data.manifest import MANIFEST_FILE, Manifest, Shard
from orchestrator.data.shards import check_shard
from orchestrator.errors import UnavailableError
from orchestrator.storage.atomic import new_folder, storage_errors, write_json
from orchestrator.storage.objects import Objects

#: Shards that are on their way at a time.
_AT_ONCE = 4


def find_published(objects: Objects, folder: Path) -> Manifest | None:
    """Return the manifest of a dataset that is published; None if it isn't.

    What was prepared in the folder but not published, since that was cut off, is published.

    Args:
        objects: Where it is published.
        folder: Its folder on this machine, which holds the manifest from then on.

    Raises:
        UnavailableError: It is damaged, or the storage can't be used.
    """
    manifest = read_manifest(objects)
    if manifest is None:
        return _publish_rest(objects, folder)
    states = objects.states()
    for shard in _shards(manifest):
        held = states.get(shard.file)
        if held is None or held.size_bytes != shard.size_bytes:
            raise _damaged(objects, f"{shard.file} is {'cut short' if held else 'missing'}")
    _bring_manifest(manifest, folder)
    return manifest


def read_manifest(objects: Objects) -> Manifest | None:
    """Return the manifest of a published dataset; None if there is none.

    Raises:
        UnavailableError: It is damaged, or the storage can't be read.
    """
    content = objects.read(MANIFEST_FILE)
    if content is None:
        return None
    try:
        return Manifest.from_dict(json.loads(content))
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise _damaged(objects, f"its manifest can't be read ({err})") from err


def publish(objects: Objects, folder: Path, manifest: Manifest) -> None:
    """Publish what was prepared in a folder.

    Raises:
        UnavailableError: The storage can't be written.
    """

    def upload(shard: Shard) -> None:
        with storage_errors(folder / shard.file):
            objects.upload(folder / shard.file, shard.file)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(upload, _shards(manifest)))
    with storage_errors(folder / MANIFEST_FILE):
        objects.upload(folder / MANIFEST_FILE, MANIFEST_FILE)


def withdraw(objects: Objects) -> None:
    """Remove a published dataset, the manifest first: without it, nobody finds the rest.

    Raises:
        UnavailableError: The storage can't be written.
    """
    objects.remove(MANIFEST_FILE)
    objects.parent.remove_folder(objects.name)


def _publish_rest(objects: Objects, folder: Path) -> Manifest | None:
    """Publish a folder if all of a dataset is in it; else remove it: copies of what is gone."""
    if not folder.is_dir():
        return None
    try:
        manifest = Manifest.read(folder)
        for shard in _shards(manifest):
            check_shard(folder, shard)
    except UnavailableError:
        _drop(folder)
        return None
    publish(objects, folder, manifest)
    return manifest


def _bring_manifest(manifest: Manifest, folder: Path) -> None:
    with contextlib.suppress(UnavailableError):
        if Manifest.read(folder) == manifest:
            return
    _drop(folder)  # Copies, if there are any, are of other shards.
    with new_folder(folder) as made:
        write_json(made / MANIFEST_FILE, manifest.to_dict())


def _drop(folder: Path) -> None:
    with storage_errors(folder):
        if folder.exists():
            shutil.rmtree(folder)


def _shards(manifest: Manifest) -> list[Shard]:
    return [shard for shards in manifest.splits.values() for shard in shards]


def _damaged(objects: Objects, why: str) -> UnavailableError:
    return UnavailableError(
        f"The dataset in {objects.address} can't be used: {why}.",
        hint=f"`launch-job data rm {objects.name}` removes it; the next run prepares it anew.",
    )
