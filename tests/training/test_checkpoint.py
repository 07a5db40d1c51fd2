"""Contract 4: a checkpoint is whole, or it is not used."""

import json
import logging

import numpy as np
import pytest

from orchestrator.training.checkpoint import Checkpoint, CheckpointStore


def checkpoint(epoch, step=0):
    arrays = {"model.0000": np.full((3, 2), epoch + 0.5, np.float32), "seed": np.array([epoch])}
    return Checkpoint(epoch=epoch, step=step, arrays=arrays, history=({"epoch": 1, "loss": 0.1},))


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(folder=tmp_path / "checkpoints", keep=3)


def same(one, other):
    assert (one.epoch, one.step, one.history) == (other.epoch, other.step, other.history)
    assert one.arrays.keys() == other.arrays.keys()
    for name, values in one.arrays.items():
        np.testing.assert_array_equal(values, other.arrays[name])


def test_what_was_saved_comes_back(store):
    store.save(checkpoint(2, step=5))
    same(store.newest(), checkpoint(2, step=5))


def test_without_any_there_is_none(store):
    assert store.newest() is None


def test_newest_is_the_furthest_and_old_ones_are_dropped(store):
    for epoch in (1, 2, 10, 9, 11):
        store.save(checkpoint(epoch))
    assert store.newest().epoch == 11
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
def test_damaged_one_is_passed_over_with_a_warning(store, damage, caplog):
    store.save(checkpoint(1))
    damage(store.save(checkpoint(2)))
    with caplog.at_level(logging.WARNING):
        same(store.newest(), checkpoint(1))
    assert "passed over" in caplog.text


def test_half_written_ones_are_not_seen(store):
    store.save(checkpoint(1))
    (store.folder / ".epoch-00002-step-0000000.abc").mkdir()
    assert store.newest().epoch == 1


def test_saving_over_a_damaged_one_replaces_it(store):
    flip_a_bit(store.save(checkpoint(2)))
    store.save(checkpoint(2))
    same(store.newest(), checkpoint(2))
