"""Prepared datasets in a storage of objects: prepared once, read from anywhere."""

from __future__ import annotations

import dataclasses
import json
import shutil

import pytest

from orchestrator.data.batches import evaluation_batches
from orchestrator.data.cache import StoredShards, shards_for_worker
from orchestrator.data.manifest import MANIFEST_FILE, ROW_COLUMN
from orchestrator.data.prepare import find_prepared, prepare
from orchestrator.data.prepared import list_prepared, remove_prepared
from orchestrator.driver_lock import DriverLock
from orchestrator.errors import UnavailableError, UsageError
from orchestrator.storage.atomic import write_json

ALL = [(split, stream) for split in ("train", "test") for stream in range(4)]


def ready(source, storage):
    return prepare("made-up", source, streams=4, storage=storage)


def rows_of(shards):
    return {
        (split, stream, row)
        for split in ("train", "test")
        for stream, rows in evaluation_batches(shards, worker=0, workers=1, split=split)
        for row in rows[ROW_COLUMN].tolist()
    }


def test_what_one_machine_prepared_workers_of_another_read(make_source, machines, capfd):
    here, there = machines
    first, second = ready(make_source(), here), ready(make_source(), there)
    assert (first.cached, second.cached) == (False, True)
    assert first.manifest == second.manifest
    assert [path.name for path in second.folder.iterdir()] == [MANIFEST_FILE]
    found = find_prepared("made-up", first.manifest.fingerprint, storage=there)
    assert found == second
    shards = shards_for_worker(
        second.folder, second.manifest, ALL, objects=second.objects, cache=second.folder / "no"
    )
    assert rows_of(shards) == rows_of(StoredShards(first.folder, first.manifest))
    assert f"shards are copied from {second.objects.address}" in capfd.readouterr().out
    # All of it is here now, and is found.
    second.objects.remove(second.manifest.splits["train"][0].file)
    again = shards_for_worker(
        second.folder, second.manifest, ALL, objects=second.objects, cache=second.folder / "no"
    )
    assert rows_of(again) == rows_of(StoredShards(first.folder, first.manifest))


def test_the_manifest_comes_last_and_publishing_goes_on_where_it_was_cut_off(
    make_source, machines, monkeypatch
):
    here, there = machines
    first = ready(make_source(), here)
    first.objects.remove(MANIFEST_FILE)
    assert find_prepared("made-up", first.manifest.fingerprint, storage=there) is None
    assert ready(make_source(), here).cached
    assert ready(make_source(), there).cached


def test_copies_of_what_is_no_longer_published_are_no_dataset(make_source, machines):
    here, there = machines
    first, copy = ready(make_source(), here), ready(make_source(), there)
    remove_prepared(here, "made-up")
    assert not first.folder.exists()
    assert first.objects.states() == {}
    assert list_prepared(there) == []
    assert not ready(make_source(), there).cached
    assert len(list((copy.folder / "train").iterdir())) == 4


def test_copies_of_other_shards_are_thrown_away(make_source, machines):
    here, there = machines
    first, copy = ready(make_source(), here), ready(make_source(), there)
    other = dataclasses.replace(copy.manifest, origin="another")
    write_json(copy.folder / MANIFEST_FILE, other.to_dict())
    (copy.folder / "train").mkdir()
    assert ready(make_source(), there).manifest == first.manifest
    assert [path.name for path in copy.folder.iterdir()] == [MANIFEST_FILE]


def test_a_published_dataset_that_is_damaged_is_named_with_its_mend(make_source, machines):
    here, there = machines
    prepared = ready(make_source(), here)
    prepared.objects.write(prepared.manifest.splits["train"][2].file, b"short")
    mark = prepared.manifest.fingerprint[:16]
    with pytest.raises(UnavailableError, match=r"stream-0002\.arrow is cut short") as caught:
        ready(make_source(), there)
    assert f"launch-job data rm {mark}" in caught.value.hint
    prepared.objects.write(MANIFEST_FILE, b"{")
    with pytest.raises(UnavailableError, match="manifest can't be read"):
        ready(make_source(), there)
    assert [p.state for p in list_prepared(there)] == ["damaged"]
    remove_prepared(there, mark)
    shutil.rmtree(prepared.folder, ignore_errors=True)
    assert not ready(make_source(), there).cached


def test_what_a_run_on_another_machine_reads_is_not_removed(make_source, machines):
    here, there = machines
    prepared = ready(make_source(), here)
    (listed,) = list_prepared(there)
    assert (listed.name, listed.state, listed.manifest) == ("made-up", "ready", prepared.manifest)
    assert json.loads(json.dumps(listed.to_dict()))["folder"] == prepared.objects.address
    run = here.run("20261125-000000-a-run-abc123")
    with DriverLock(run):
        write_json(run.spec, {"dataset_fingerprint": prepared.manifest.fingerprint})
        while run.objects.read("spec.json") is None:
            pass
        with pytest.raises(UsageError, match="is being read by run 2026"):
            remove_prepared(there, "made-up")
    remove_prepared(there, "made-up")
