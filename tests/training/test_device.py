"""Contract 10: a device that can't be had is an error, or is announced."""

import pytest

from orchestrator.errors import UsageError
from orchestrator.training.device import choose_device


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
