"""What a callback remembers comes back, and nothing else is touched."""

import json

import numpy as np
import pytest

from orchestrator.errors import UsageError
from orchestrator.training.callback_state import read_callbacks, write_callbacks


class Remembers:
    """Stands where a Keras callback would: only attributes matter."""

    def __init__(self):
        self.params = {"epochs": 3}
        self._model = object()
        self.compare = min
        self.wait = 0
        self.best = float("inf")
        self.seen = []
        self.weights = None
        self.scale = np.float32(0)
        self.by_name = {}


def experienced():
    callback = Remembers()
    callback.wait = 2
    callback.best = 0.1 + 0.2
    callback.seen = [1, [2.5, "three"], None, True]
    callback.weights = [np.arange(6, dtype=np.float32).reshape(2, 3), np.array([7])]
    callback.scale = np.float32(1 / 3)
    callback.by_name = {"loss": np.float64(0.5), "inner": {"rate": 1e-3}}
    return callback


def test_state_comes_back_to_the_last_bit():
    states, arrays = read_callbacks([experienced()])
    fresh, expected = Remembers(), experienced()
    write_callbacks([fresh], json.loads(json.dumps(states)), arrays)
    for name in ("wait", "best", "seen", "scale", "by_name"):
        assert getattr(fresh, name) == getattr(expected, name), name
    assert fresh.scale.dtype == np.float32
    for mine, other in zip(fresh.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(mine, other)
        assert mine.dtype == other.dtype


def test_infinity_comes_back():
    states, arrays = read_callbacks([Remembers()])
    other = experienced()
    write_callbacks([other], json.loads(json.dumps(states)), arrays)
    assert other.best == float("inf")


def test_models_functions_and_what_fit_sets_are_no_state():
    states, _ = read_callbacks([Remembers()])
    assert not {"params", "_model", "compare"} & states[0]["attributes"].keys()


def test_state_of_other_callbacks_is_refused():
    states, arrays = read_callbacks([Remembers()])
    with pytest.raises(UsageError, match="other callbacks"):
        write_callbacks([], states, arrays)
