"""Contract 10: a device that can't be had is an error, or is announced."""

import pytest

from orchestrator.errors import UsageError
from orchestrator.training.device import choose_device, make_strategy


@pytest.mark.parametrize(
    ("wanted", "gpus", "device"),
    [("auto", 0, "cpu"), ("auto", 4, "gpu"), ("cpu", 4, "cpu"), ("gpu", 5, "gpu")],
)
def test_devices_that_need_no_word(wanted, gpus, device):
    choice = choose_device(wanted, gpus=gpus, workers=4)
    assert (choice.device, choice.note) == (device, None)


def test_gpus_that_stay_unused_are_announced():
    choice = choose_device("auto", gpus=2, workers=4)
    assert choice.device == "cpu"
    assert "2 GPUs are too few for 4 workers" in choice.note


def test_gpus_that_were_asked_for_are_needed():
    with pytest.raises(UsageError, match="4 workers need 4 GPUs; there are 2"):
        choose_device("gpu", gpus=2, workers=4)


@pytest.mark.slow
def test_workers_on_cpus_are_shown_no_gpu(monkeypatch):
    # Where a GPU was in sight, both workers of a run on CPUs computed on it, and failed. There is
    # none here, so what TensorFlow is told has to do.
    import tensorflow as tf

    told = []
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda *hidden: told.append(hidden))
    monkeypatch.setattr(
        tf.distribute, "MultiWorkerMirroredStrategy", lambda: told.append("strategy")
    )
    make_strategy("cpu")
    assert told == [([], "GPU"), "strategy"]
