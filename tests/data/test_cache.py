"""Copies of shards on this machine: whole or not there, made while a worker reads already."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from orchestrator.data import cache as shard_cache
from orchestrator.data.cache import CachedShards, StoredShards, copy_shard, shards_for_worker
from orchestrator.data.manifest import ROW_COLUMN
from orchestrator.data.mounts import remote_type
from orchestrator.data.prepare import prepare
from orchestrator.errors import UnavailableError
from orchestrator.storage.storage import Storage

ALL = [("train", stream) for stream in range(4)] + [("test", stream) for stream in range(4)]


@pytest.fixture(scope="module")
def prepared(make_source, tmp_path_factory):
    storage = Storage(path=tmp_path_factory.mktemp("store"))
    return prepare("made-up", make_source(train=400), streams=4, storage=storage)


class Origin:
    """Where shards lie; it counts what is opened, and may be closed to all but a gate's owner."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.opened: list[str] = []
        self.gate = threading.Event()
        self.gate.set()

    @contextmanager
    def __call__(self, name):
        self.opened.append(name)
        assert self.gate.wait(30)
        with (self.folder / name).open("rb") as file:
            yield file


@pytest.fixture
def origin(prepared):
    return Origin(prepared.folder)


def same(one, other):
    assert one.keys() == other.keys()
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name])


def test_every_stream_is_copied_once_for_all_runs(prepared, origin, tmp_path):
    first = CachedShards(tmp_path, prepared.manifest, origin, ALL)
    stored = StoredShards(prepared.folder, prepared.manifest)
    for split, stream in ALL:
        same(first.open(split, stream), stored.open(split, stream))
    assert len(origin.opened) == len(ALL)
    second = CachedShards(tmp_path, prepared.manifest, origin, ALL)
    for split, stream in ALL:
        same(second.open(split, stream), stored.open(split, stream))
    assert len(origin.opened) == len(ALL)
    assert not list(tmp_path.rglob("*.begun"))


def test_what_lies_on_a_file_system_is_read_there_until_its_copy_is_here(
    prepared, origin, tmp_path
):
    meanwhile = StoredShards(prepared.folder, prepared.manifest)
    origin.gate.clear()
    shards = CachedShards(tmp_path, prepared.manifest, origin, ALL, meanwhile=meanwhile)
    assert shards.open("train", 0) is meanwhile.open("train", 0)
    origin.gate.set()
    until = time.monotonic() + 30
    while shards.open("train", 0) is meanwhile.open("train", 0):
        assert time.monotonic() < until
    same(shards.open("train", 0), meanwhile.open("train", 0))


def test_where_there_is_no_room_for_copies_it_goes_without_and_says_so(
    prepared, origin, tmp_path, capfd
):
    (tmp_path / "cache").write_text("in the way")
    meanwhile = StoredShards(prepared.folder, prepared.manifest)
    shards = CachedShards(tmp_path / "cache", prepared.manifest, origin, ALL, meanwhile=meanwhile)
    alone = CachedShards(tmp_path / "cache", prepared.manifest, origin, ALL[:1])
    with pytest.raises(UnavailableError, match="cache"):
        alone.open("train", 0)
    for split, stream in ALL:
        same(shards.open(split, stream), meanwhile.open(split, stream))
    assert "read where it lies, not copied: Can't use" in capfd.readouterr().out


def test_a_copy_that_was_cut_off_goes_on_where_it_was(prepared, tmp_path):
    shard = prepared.manifest.splits["train"][1]
    whole = (prepared.folder / shard.file).read_bytes()
    begun = tmp_path / "train" / f".{Path(shard.file).name}.begun"
    begun.parent.mkdir()
    begun.write_bytes(whole[:1000])
    places = []

    class Watched:
        def __init__(self, file):
            self.file = file

        def seek(self, place):
            places.append(place)
            self.file.seek(place)

        def read(self, size):
            return self.file.read(size)

    @contextmanager
    def watched(name):
        with (prepared.folder / name).open("rb") as file:
            yield Watched(file)

    copy_shard(tmp_path, shard, watched)
    assert places == [1000]
    assert (tmp_path / shard.file).read_bytes() == whole


def test_a_beginning_that_is_of_no_use_is_thrown_away(prepared, origin, tmp_path):
    shard = prepared.manifest.splits["train"][1]
    begun = tmp_path / "train" / f".{Path(shard.file).name}.begun"
    begun.parent.mkdir()
    begun.write_bytes(b"something else altogether")
    copy_shard(tmp_path, shard, origin)
    assert (tmp_path / shard.file).read_bytes() == (prepared.folder / shard.file).read_bytes()


def test_what_is_not_the_manifests_is_never_taken(prepared, tmp_path):
    shard = prepared.manifest.splits["train"][1]
    other = prepared.manifest.splits["train"][2]

    @contextmanager
    def origin(name):
        with (prepared.folder / other.file).open("rb") as file:
            yield file

    with pytest.raises(UnavailableError, match="not what the manifest says"):
        copy_shard(tmp_path, shard, origin)
    assert not (tmp_path / shard.file).exists()


def test_several_that_copy_the_same_stream_at_once_copy_it_once(prepared, origin, tmp_path):
    every = [CachedShards(tmp_path, prepared.manifest, origin, ALL[:1]) for _ in range(5)]
    for shards in every:
        assert len(shards.open("train", 0)[ROW_COLUMN]) == 100
    assert len(origin.opened) == 1


def test_a_local_disk_is_read_where_it_lies(prepared, tmp_path, capfd):
    shards = shards_for_worker(
        prepared.folder, prepared.manifest, ALL, objects=None, cache=tmp_path
    )
    assert isinstance(shards, StoredShards)
    assert capfd.readouterr().out == ""


def test_a_networks_file_system_is_copied_from_and_that_is_said(
    prepared, tmp_path, capfd, monkeypatch
):
    monkeypatch.setattr(
        shard_cache, "remote_type", lambda folder: "nfs4" if folder == prepared.folder else None
    )
    shards = shards_for_worker(
        prepared.folder, prepared.manifest, ALL, objects=None, cache=tmp_path
    )
    assert isinstance(shards, CachedShards)
    assert f"is on nfs4: shards are copied to {tmp_path}" in capfd.readouterr().out


MOUNTS = """\
22 1 0:21 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:30 / /home rw shared:2 - nfs4 10.0.0.1:/home rw,vers=4.2
31 30 0:31 / /home/me/local\\040disk rw shared:3 - xfs /dev/sdb1 rw
32 22 0:32 / /bucket rw - fuse.s3fs s3fs rw
33 22 0:33 / /layers rw - fuse.fuse-overlayfs overlay rw
34 22 0:34 / /twice rw - ext4 /dev/sdc1 rw
35 22 0:35 / /twice rw - lustre 10.0.0.2@tcp:/fs rw
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/var/lib", None),
        ("/home", "nfs4"),
        ("/home/me/data", "nfs4"),
        ("/home/me/local disk/data", None),
        ("/homely", None),
        ("/bucket/a/b", "fuse.s3fs"),
        ("/layers/x", None),
        ("/twice/x", "lustre"),
    ],
)
def test_the_innermost_and_last_mount_says_what_a_folder_lies_on(tmp_path, folder, kind):
    (tmp_path / "mountinfo").write_text(MOUNTS)
    assert remote_type(Path(folder), mounts=tmp_path / "mountinfo") == kind


def test_where_nothing_tells_what_is_mounted_nothing_is_remote(tmp_path):
    assert remote_type(Path("/home"), mounts=tmp_path / "nothing") is None
