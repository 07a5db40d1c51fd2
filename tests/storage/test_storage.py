"""Storage: whole files or none, and no path that a name could lead astray."""

import os
from pathlib import Path

import pytest

from orchestrator.errors import UnavailableError, UsageError
from orchestrator.storage.atomic import new_folder, read_json, write_atomic, write_json
from orchestrator.storage.run_folder import RunFolder
from orchestrator.storage.storage import Storage


def test_file_is_replaced_whole(tmp_path):
    write_atomic(tmp_path / "deep" / "file", "old")
    write_atomic(tmp_path / "deep" / "file", b"new")
    assert (tmp_path / "deep" / "file").read_bytes() == b"new"
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["file"]


def test_interrupted_write_keeps_the_old_file(tmp_path, monkeypatch):
    write_atomic(tmp_path / "file", "old")

    def interrupt(handle):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_atomic(tmp_path / "file", "new")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_damaged_json_names_the_file(tmp_path):
    (tmp_path / "x.json").write_text('{"half":')
    with pytest.raises(UnavailableError, match=r"x\.json is damaged"):
        read_json(tmp_path / "x.json")


def test_failed_write_leaves_nothing(tmp_path):
    target = tmp_path / "file"
    target.mkdir()
    with pytest.raises(UnavailableError, match="file"):
        write_atomic(target, "text")
    assert list(tmp_path.iterdir()) == [target]


def test_new_folder_is_there_whole_or_not_at_all(tmp_path):
    def fail_halfway():
        with new_folder(tmp_path / "new") as folder:
            (folder / "half").write_text("x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    assert list(tmp_path.iterdir()) == []
    with new_folder(tmp_path / "new") as folder:
        (folder / "whole").write_text("x")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["whole"]


def test_second_comer_keeps_the_firsts_folder(tmp_path):
    with new_folder(tmp_path / "new") as second:
        with new_folder(tmp_path / "new") as first:
            (first / "first").write_text("x")
        (second / "second").write_text("x")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["first"]
    assert [p.name for p in tmp_path.iterdir()] == ["new"]


@pytest.fixture
def storage(tmp_path):
    """A storage with three runs."""
    storage = Storage.at(str(tmp_path))
    for run_id in ("20260101-a-111", "20260102-a-222", "20260102-b-333"):
        write_json(storage.run(run_id).spec, {})
    return storage


@pytest.mark.parametrize(
    ("text", "run_id"),
    [
        ("latest", "20260102-b-333"),
        ("20260101", "20260101-a-111"),
        ("222", "20260102-a-222"),
        ("20260102-b-333", "20260102-b-333"),
    ],
)
def test_runs_are_found_by_a_part_of_their_name(storage, text, run_id):
    assert storage.find_run(text).run_id == run_id


def test_ambiguous_and_unknown_runs(storage):
    with pytest.raises(UsageError, match="names 2 runs"):
        storage.find_run("20260102")
    with pytest.raises(UsageError, match="no run 'x'"):
        storage.find_run("x")


@pytest.mark.parametrize("name", ["../up", "a/b", "", "A", ".hidden", "a..b", "x" * 200, "a\n"])
def test_hostile_names_do_not_become_paths(storage, name):
    with pytest.raises(UsageError):
        storage.run(name)


def test_addresses_of_other_kinds_are_refused():
    with pytest.raises(UsageError, match="not supported"):
        Storage.at("ftp://host/folder")


def test_folder_without_a_request_is_no_run(storage):
    (storage.runs / "20270101-half").mkdir()
    assert storage.find_run("latest").run_id == "20260102-b-333"


@pytest.mark.parametrize("text", ["../20260101-a-111", "", "/", "latest/.."])
def test_hostile_text_finds_no_run(storage, text):
    with pytest.raises(UsageError):
        storage.find_run(text)


@pytest.mark.parametrize("uri", ["", "  "])
def test_storage_without_a_name_is_not_the_working_folder(uri):
    """`--storage "$UNSET"` must not fill the folder that one happens to be in."""
    with pytest.raises(UsageError, match="empty name"):
        Storage.at(uri)


def test_addresses_of_files_and_relative_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert Storage.at(f"file://{tmp_path}/x").path == tmp_path / "x"
    assert Storage.at("x").path == tmp_path / "x"
    assert Storage.at("~/x").path == tmp_path / "home" / "x"


def test_unwritable_storage(tmp_path):
    (tmp_path / "file").write_text("in the way")
    places = [tmp_path / "file"]
    if Path("/proc/sys").is_dir():  # Not even root can write there.
        places.append(Path("/proc/nothing-here"))
    for place in places:
        storage = Storage(path=place)
        with pytest.raises(UnavailableError, match=place.name) as caught:
            storage.check_writable()
        assert "--storage" in caught.value.hint
        with pytest.raises(UnavailableError, match=place.name):
            write_json(storage.run("run").spec, {})
        with pytest.raises(UnavailableError, match=place.name), new_folder(place / "new"):
            pass


def test_probe_of_a_writable_storage_leaves_nothing_in_it(tmp_path):
    Storage(path=tmp_path / "new").check_writable()
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_each_attempt_has_a_folder_that_none_before_it_writes_to(tmp_path):
    run = RunFolder(path=tmp_path / "run")
    first = run.new_attempt()
    second = RunFolder(path=tmp_path / "run").new_attempt()
    write_json(first.result(0), {"rank": 0})
    write_json(first.failure(1), {"rank": 1})
    assert (first.number, second.number) == (1, 2)
    assert not second.result(0).exists()
    assert second.failures() == []


def test_newest_runs_come_first_and_only_those_asked_for_are_looked_into(tmp_path, monkeypatch):
    storage = Storage(path=tmp_path)
    for run_id in ("20260101-a", "20260102-b", "20260103-c"):
        write_json(storage.run(run_id).spec, {})
    (storage.runs / "20260104-empty").mkdir()
    write_json(storage.runs / ".20260105-d.removed" / "spec.json", {})
    assert [*storage.newest_run_ids()] == ["20260103-c", "20260102-b", "20260101-a"]
    assert storage.find_run("latest").run_id == "20260103-c"
    looked = []
    is_file = Path.is_file
    monkeypatch.setattr(Path, "is_file", lambda path: looked.append(path) or is_file(path))
    assert storage.find_run("-b").run_id == "20260102-b"
    assert next(storage.newest_run_ids()) == "20260103-c"
    # No such run, the one that ends so, one that is being made, and the newest.
    assert len(looked) <= 4
