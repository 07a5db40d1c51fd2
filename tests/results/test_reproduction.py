"""The verdict on a run that was done again, and what is named as the first difference."""

import dataclasses
import io
import zipfile

import h5py
import numpy as np
import pytest
from sample_reports import sample

from orchestrator.errors import UnavailableError
from orchestrator.results.reproduction import changes, judge

ORIGIN = {
    "code_digest": "a" * 64,
    "git_commit": "c1",
    "git_diff": "",
    "host": "here",
    "versions": {"python": "3.11", "keras": "3.15"},
    "dataset_fingerprint": "f",
}


def model(path, weights):
    """Write what Keras writes, as far as it is read: an archive with the weights in it."""
    held = io.BytesIO()
    with h5py.File(held, "w") as file:
        for name, values in weights.items():
            file[name] = np.asarray(values, "f4")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.weights.h5", held.getvalue())
    return path


WEIGHTS = {"layers/dense/vars/0": [1.0, 2.0], "layers/lstm/vars/0": [[3.0]]}


@pytest.fixture
def first(tmp_path):
    return sample("first"), model(tmp_path / "first.keras", WEIGHTS)


def again(tmp_path, *, weights=WEIGHTS, scale=1.0):
    history = tuple({**e, "loss": e["loss"] * scale, "seconds": 9.0} for e in sample("x").history)
    report = dataclasses.replace(sample("again"), history=history)
    return report, model(tmp_path / "again.keras", weights)


def test_same_bits_are_the_same_however_long_they_took(first, tmp_path):
    found = judge(first, again(tmp_path), ())
    assert (found.outcome, found.first_difference) == ("bitwise", None)


def test_other_bits_but_the_same_metrics(first, tmp_path):
    other = {**WEIGHTS, "layers/lstm/vars/0": [[np.nextafter(np.float32(3), np.float32(4))]]}
    found = judge(first, again(tmp_path, weights=other), ())
    assert (found.outcome, found.first_difference) == ("tolerance", "weights layers/lstm/vars/0")


def test_other_metrics_are_different_and_the_first_is_named(first, tmp_path):
    other = {**WEIGHTS, "layers/dense/vars/0": [1.0, 9.0]}
    found = judge(first, again(tmp_path, weights=other, scale=1.01), ())
    assert found.outcome == "different"
    assert found.first_difference == "loss of epoch 1: 1.0 → 1.01"


def test_other_layers_are_different_models(first, tmp_path):
    other = {"layers/dense/vars/0": [1.0, 2.0]}
    found = judge(first, again(tmp_path, weights=other, scale=2.0), ())
    assert found.outcome == "different"


@pytest.mark.parametrize("damage", [b"no archive", b""])
def test_damaged_model_is_named(first, tmp_path, damage):
    report, path = again(tmp_path)
    path.write_bytes(damage)
    with pytest.raises(UnavailableError, match=r"again\.keras is damaged"):
        judge(first, (report, path), ())


def test_all_as_it_was():
    assert changes(ORIGIN, {**ORIGIN, "versions": dict(ORIGIN["versions"])}) == ()


def test_what_matters_most_is_named_first():
    now = {
        **ORIGIN,
        "code_digest": "b" * 64,
        "versions": {"python": "3.11", "keras": "3.16"},
        "host": "there",
    }
    assert [str(change) for change in changes(ORIGIN, now)] == [
        f"job's file (SHA-256): {'a' * 12}… → {'b' * 12}…",
        "keras: 3.15 → 3.16",
        "host: here → there",
    ]
