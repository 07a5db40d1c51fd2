"""The shards of a prepared dataset as one worker reads them: where they lie, or from a cache.

Streams that lie beyond a network are copied to a folder of this machine while the worker starts and
trains. Runs share that folder: the next one finds them there. What is copied is compared with the
manifest's digest before it gets its name.

An epoch takes the rows of a stream in a random order, so its first call needs rows from all over
its streams. Those on a network's file system are read where they lie until their copy is there;
objects have to be here first.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from orchestrator.data.manifest import Manifest, Shard
from orchestrator.data.mounts import remote_type
from orchestrator.data.shards import check_shard, damaged, open_stream, sha256_of
from orchestrator.storage.atomic import storage_errors
from orchestrator.storage.objects import Objects

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Streams that a worker copies at a time: one connection alone doesn't fill a network.
_COPIES = 4

#: Bytes that are copied at a time.
_PIECE_BYTES = 8 << 20

#: One stream, mapped into memory: `(rows, *shape)`, read-only, for each column.
Stream = dict[str, "NDArray[Any]"]

#: Opens a file of where shards lie, by its name.
Open = Callable[[str], AbstractContextManager[Any]]


class Shards(Protocol):
    """The shards of a prepared dataset."""

    @property
    def manifest(self) -> Manifest:
        """What they hold."""

    def open(self, split: str, stream: int) -> Stream:
        """Return a stream, waiting for it if need be.

        Raises:
            UnavailableError: It can't be had, or is damaged.
        """


class StoredShards:
    """Shards that are read where they lie.

    Args:
        folder: Their folder.
        manifest: What they hold.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.manifest = manifest
        self._folder = folder
        self._opened: dict[tuple[str, int], Stream] = {}

    def open(self, split: str, stream: int) -> Stream:
        """Map a stream into memory."""
        if (split, stream) not in self._opened:
            opened = open_stream(self._folder, self.manifest, split, stream)
            self._opened[split, stream] = opened
        return self._opened[split, stream]


class CachedShards:
    """Shards that are copied to this machine in the background.

    Args:
        cache: Folder of the copies.
        manifest: What they hold.
        origin: Opens what they are copies of.
        streams: (split, stream) of those that this worker reads, in the order of its need.
        meanwhile: The shards where they lie, if they can be read there; else a stream is waited
            for.
    """

    def __init__(
        self,
        cache: Path,
        manifest: Manifest,
        origin: Open,
        streams: Iterable[tuple[str, int]],
        *,
        meanwhile: Shards | None = None,
    ) -> None:
        self.manifest = manifest
        self._cache = cache
        self._origin = origin
        self._meanwhile = meanwhile
        self._copies = StoredShards(cache, manifest)
        self._copied: dict[tuple[str, int], Future[None]] = {which: Future() for which in streams}
        wanted = iter(list(self._copied))
        taking = threading.Lock()
        for _ in range(_COPIES):
            # Nobody waits for what is on its way when the worker ends: the next one goes on.
            threading.Thread(target=self._work, args=(wanted, taking), daemon=True).start()

    def open(self, split: str, stream: int) -> Stream:
        """Return a stream: its copy, or the original where that can be read meanwhile."""
        copied = self._copied[split, stream]
        if self._meanwhile is not None and (not copied.done() or copied.exception() is not None):
            return self._meanwhile.open(split, stream)
        copied.result()
        return self._copies.open(split, stream)

    def _work(self, wanted: Iterator[tuple[str, int]], taking: threading.Lock) -> None:
        """Copy one stream after the other, as long as there are some."""
        while True:
            with taking:
                which = next(wanted, None)
            if which is None:
                return
            (split, stream), copied = which, self._copied[which]
            try:
                copy_shard(self._cache, self.manifest.splits[split][stream], self._origin)
                # Once it is mapped, nobody can take it away any more.
                self._copies.open(split, stream)
            except Exception as err:  # noqa: BLE001 - whoever needs the stream raises it
                if self._meanwhile is not None:
                    print(f"launch-job: read where it lies, not copied: {err}", flush=True)
                copied.set_exception(err)
            else:
                copied.set_result(None)


def shards_for_worker(
    folder: Path,
    manifest: Manifest,
    streams: Iterable[tuple[str, int]],
    *,
    objects: Objects | None,
    cache: Path,
) -> Shards:
    """Return the shards as a worker reads them, and say so where that is from a cache.

    Args:
        folder: Folder of the prepared dataset; that of its copies if it lies elsewhere.
        manifest: What is in it.
        streams: (split, stream) of those that the worker reads, in the order of its need.
        objects: Where the dataset lies, if that isn't the folder.
        cache: Folder for copies, if the folder lies beyond a network.
    """
    if objects is not None:
        print(f"launch-job: shards are copied from {objects.address} to {folder}", flush=True)
        return CachedShards(folder, manifest, objects.open, streams)
    here = StoredShards(folder, manifest)
    kind = remote_type(folder)
    if kind is None or remote_type(cache) is not None:
        return here
    print(f"launch-job: {folder} is on {kind}: shards are copied to {cache}", flush=True)

    def origin(name: str) -> AbstractContextManager[Any]:
        return (folder / name).open("rb")

    return CachedShards(cache, manifest, origin, streams, meanwhile=here)


def copy_shard(cache: Path, shard: Shard, origin: Open) -> None:
    """Bring a shard into the cache if it isn't there, going on where another copy was cut off.

    Raises:
        UnavailableError: It can't be read or written, or isn't what the manifest says.
    """
    path = cache / shard.file
    with storage_errors(path), _begun(path) as begun:
        if begun is None:
            check_shard(cache, shard)
            return
        for _ in range(2):  # What was left of an earlier copy may be of no use.
            _go_on(begun, shard, origin)
            if begun.stat().st_size == shard.size_bytes and sha256_of(begun) == shard.sha256:
                os.replace(begun, path)
                return
            os.truncate(begun, 0)
    raise damaged(cache, shard, "what was copied is not what the manifest says")


@contextmanager
def _begun(path: Path) -> Iterator[Path | None]:
    """Give the file that is to become a copy, to one process at a time; None: the copy is there."""
    begun = path.with_name(f".{path.name}.begun")
    path.parent.mkdir(parents=True, exist_ok=True)
    while not path.exists():
        handle = os.open(begun, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            # Whoever had it before may have renamed it.
            if begun.exists() and os.path.samestat(os.fstat(handle), begun.stat()):
                yield begun
                return
        finally:
            os.close(handle)
    yield None


def _go_on(begun: Path, shard: Shard, origin: Open) -> None:
    try:
        with origin(shard.file) as source, begun.open("ab") as target:
            source.seek(target.tell())
            while piece := source.read(_PIECE_BYTES):
                target.write(piece)
    except FileNotFoundError as err:
        raise damaged(begun.parent.parent, shard, "it is missing where it is copied from") from err
