"""Contract 4: a checkpoint is whole, or it is not used."""

import dataclasses
import json

import numpy as np
import pytest

from orchestrator.errors import UnavailableError
from orchestrator.training.checkpoint import Checkpoint, CheckpointStore, place_of


def checkpoint(epoch, step=0, loss=None):
    arrays = {"model.0000": np.full((3, 2), epoch + 0.5, np.float32), "seed": np.array([epoch])}
    return Checkpoint(
        epoch=epoch,
        step=step,
        workers=3,
        arrays=arrays,
        callbacks=({"kind": "EarlyStopping", "attributes": {"wait": 1}},),
        history=({"epoch": epoch, "loss": 1 / (epoch + 1) if loss is None else loss},),
        epoch_seconds=1.5,
        stopped=True,
    )


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(folder=tmp_path / "checkpoints", keep=3)


def newest(store):
    """The newest whole one, and what was said of those that were passed over."""
    damaged = []
    name = store.newest(on_damaged=damaged.append)
    return name and store.load(name), " ".join(err.message for err in damaged)


def same(one, other):
    for field in dataclasses.fields(one):
        if field.name != "arrays":
            assert getattr(one, field.name) == getattr(other, field.name)
    assert one.arrays.keys() == other.arrays.keys()
    for name, values in one.arrays.items():
        np.testing.assert_array_equal(values, other.arrays[name])


def test_what_was_saved_comes_back(store):
    store.save(checkpoint(2, step=5))
    same(newest(store)[0], checkpoint(2, step=5))


def test_without_any_there_is_none(store):
    assert newest(store) == (None, "")


def test_newest_is_the_furthest_and_old_ones_are_dropped(store):
    for epoch in (1, 2, 10, 9, 11):
        store.save(checkpoint(epoch))
    assert newest(store)[0].epoch == 11
    assert len(list(store.folder.iterdir())) == 3


def flip_a_bit(folder):
    data = bytearray((folder / "arrays.npz").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "arrays.npz").write_bytes(data)


def truncate(folder):
    path = folder / "arrays.npz"
    path.write_bytes(path.read_bytes()[:-10])


def lose_the_manifest(folder):
    (folder / "manifest.json").unlink()


def lose_the_arrays(folder):
    (folder / "arrays.npz").unlink()


def change_the_position(folder):
    position = json.loads((folder / "position.json").read_text())
    (folder / "position.json").write_text(json.dumps({**position, "epoch": 99}))


@pytest.mark.parametrize(
    "damage", [flip_a_bit, truncate, lose_the_manifest, lose_the_arrays, change_the_position]
)
def test_damaged_one_is_passed_over_and_named(store, damage):
    store.save(checkpoint(1))
    damage(store.save(checkpoint(2)))
    found, said = newest(store)
    same(found, checkpoint(1))
    assert "epoch-00002" in said


@pytest.mark.parametrize(
    "damage", [flip_a_bit, truncate, lose_the_manifest, lose_the_arrays, change_the_position]
)
def test_damaged_one_is_not_loaded(store, damage):
    damage(store.save(checkpoint(2)))
    with pytest.raises(UnavailableError, match="epoch-00002"):
        store.load("epoch-00002-step-0000000")


def test_if_all_are_damaged_there_is_none(store):
    for epoch in (1, 2):
        truncate(store.save(checkpoint(epoch)))
    found, said = newest(store)
    assert found is None
    assert "epoch-00001" in said
    assert "epoch-00002" in said


def test_best_one_is_always_kept(store):
    for epoch, loss in enumerate([0.9, 0.2, 0.5, 0.6, float("nan"), 0.4, 0.3], start=1):
        store.save(checkpoint(epoch, loss=loss))
        store.save(checkpoint(epoch, step=5, loss=loss))
    names = sorted(path.name for path in store.folder.iterdir())
    assert names == [
        "epoch-00002-step-0000000",
        "epoch-00006-step-0000005",
        "epoch-00007-step-0000000",
        "epoch-00007-step-0000005",
    ]


def test_half_written_ones_are_not_seen(store):
    store.save(checkpoint(1))
    half = store.folder / ".epoch-00002-step-0000000.abc"
    half.mkdir()
    assert newest(store)[0].epoch == 1
    store.sweep()
    assert not half.exists()


def test_saving_over_a_damaged_one_replaces_it(store):
    flip_a_bit(store.save(checkpoint(2)))
    store.save(checkpoint(2))
    same(newest(store)[0], checkpoint(2))


def test_its_place_is_said_in_words():
    assert place_of(checkpoint(2, step=5).name) == "step 5 of epoch 3"
    assert place_of(checkpoint(2).name) == "the end of epoch 2"
    assert place_of(None) == "the beginning"
