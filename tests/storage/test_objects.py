"""Objects on S3: whole or not there, and told from those before them."""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.errors import UnavailableError, UsageError
from orchestrator.storage.objects import Objects


@pytest.fixture
def objects(bucket):
    return Objects.at(f"{bucket}/a/storage/")


def test_what_is_written_is_read(objects):
    objects.write("one/two.json", b"12")
    objects.write("one/two.json", b"123")
    assert objects.read("one/two.json") == b"123"
    assert objects.within("one").read("two.json") == b"123"
    assert objects.read("one/three.json") is None
    assert objects.read("none/three.json") is None


def test_names_are_listed_with_what_tells_a_new_object_from_an_old(objects):
    for name in ("one/x", "one/two/y", "one/two/z", "other"):
        objects.write(name, name.encode())
    one = objects.within("one")
    assert {name: state.size_bytes for name, state in one.states().items()} == {
        "x": 5,
        "two/y": 9,
        "two/z": 9,
    }
    assert list(one.states(deep=False)) == ["x"]
    assert objects.folders() == ["one"]
    assert objects.within("nothing").states() == {}
    assert objects.within("nothing").folders() == []
    objects.remove("one/two/y")
    objects.remove("one/two/y")
    assert sorted(one.states()) == ["two/z", "x"]
    one.remove_folder("two")
    one.remove_folder("two")
    assert sorted(one.states()) == ["x"]
    assert one.folders() == []


@pytest.mark.parametrize("size", [0, 1000, 20 << 20])
def test_files_go_up_and_come_down_whole(objects, tmp_path, size):
    (tmp_path / "file").write_bytes(content := os.urandom(size))
    objects.upload(tmp_path / "file", "there")
    objects.download("there", tmp_path / "deep" / "back")
    assert (tmp_path / "deep" / "back").read_bytes() == content
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["back"]
    with pytest.raises(FileNotFoundError):
        objects.upload(tmp_path / "gone", "there")
    with pytest.raises(FileNotFoundError):
        objects.download("gone", tmp_path / "deep" / "other")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["back"]


def test_an_object_that_goes_between_opening_and_reading_is_not_there(objects, monkeypatch):
    opened = Objects.open

    @contextlib.contextmanager
    def open_and_lose(self, name):
        with opened(self, name) as file:
            self.remove(name)
            yield file

    monkeypatch.setattr(Objects, "open", open_and_lose)
    objects.write("name", b"12")
    assert objects.read("name") is None


def test_folders_come_and_go_in_many_threads(objects, monkeypatch):
    # So many that another thread is at work before all have been looked at.
    monkeypatch.setattr(
        "orchestrator.storage.objects._MADE", {f"bucket/{n}" for n in range(50_000)}
    )

    def come_and_go(number):
        objects.write(f"{number}/name", b"")
        objects.remove_folder(str(number))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(come_and_go, range(32)))
    assert objects.folders() == []


def test_what_cannot_be_reached_is_named(bucket, monkeypatch):
    scheme = bucket.partition("://")[0]
    nowhere = Objects.at(f"{scheme}://no-such-bucket/x")
    with pytest.raises(UnavailableError, match=f"Can't use {scheme}://no-such-bucket/x/name"):
        nowhere.write("name", b"")
    with pytest.raises(UnavailableError, match="there is no bucket no-such-bucket"):
        nowhere.folders()
    monkeypatch.setattr("orchestrator.storage.object_stores._PATIENCE_S", 0.1)
    for server in ("AWS_ENDPOINT_URL", "STORAGE_EMULATOR_HOST"):
        monkeypatch.setenv(server, "http://127.0.0.1:9")
    elsewhere = Objects.at(f"{scheme}://elsewhere/x")
    with pytest.raises(UnavailableError, match=f"Can't use {scheme}://elsewhere/x/name") as caught:
        elsewhere.read("name")
    assert "error_info" not in caught.value.message, "Google's client says all twice"


@pytest.mark.parametrize(
    "address",
    [
        *("s3://", "s3:///path", "s3://bucket/a//b", "s3://bucket/../b"),
        *("s3://key:secret@bucket/a", "s3://bucket/a?secret_key=b", "s3://bucket/a#b"),
        *("gs://", "gs://bucket/../b", "gs://anybody@bucket/a"),
    ],
)
def test_an_address_is_a_place_and_nothing_else(address):
    with pytest.raises(UsageError) as caught:
        Objects.at(address)
    assert "secret@" not in caught.value.message
    assert "secret_key" not in caught.value.message
