"""The state of Keras callbacks, such as early stopping: out of them, and back into them.

Keras gives callbacks no way to save their state, and resets it when `fit` begins. What a callback
remembers between epochs is found in its attributes: whatever is made of numbers, strings, arrays,
lists and dicts is state; functions, models and files are not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

#: Marks the place of an array in a tree of JSON values.
_ARRAY = "__array__"

#: What `fit` sets by itself.
_NOT_STATE = {"params", "_model", "validation_data", "model"}

#: Stands for an attribute that is no state.
_NOTHING = object()


def settle_callbacks(callbacks: Sequence[keras.callbacks.Callback]) -> None:
    """Have callbacks decide now what they would decide when an epoch first ends.

    Those that watch a metric choose a function that compares, which is no state, and turn the sign
    of a margin, which is. State must be of the same side of that, whenever it was read.
    """
    for callback in callbacks:
        if getattr(callback, "monitor_op", callback) is None:
            callback._set_monitor_op()


def read_callbacks(
    callbacks: Sequence[keras.callbacks.Callback],
) -> tuple[list[dict[str, Any]], dict[str, NDArray[Any]]]:
    """Return the state of callbacks: JSON values, and the arrays that they refer to by name."""
    arrays: dict[str, NDArray[Any]] = {}
    states = []
    for callback in callbacks:
        held = {
            name: _encode(value, arrays)
            for name, value in vars(callback).items()
            if name not in _NOT_STATE
        }
        attributes = {name: value for name, value in held.items() if value is not _NOTHING}
        states.append({"kind": type(callback).__name__, "attributes": attributes})
    return states, arrays


def write_callbacks(
    callbacks: Sequence[keras.callbacks.Callback],
    states: Sequence[Mapping[str, Any]],
    arrays: Mapping[str, NDArray[Any]],
) -> None:
    """Set the state of callbacks, after `fit` has reset it.

    Raises:
        UsageError: The state is of other callbacks.
    """
    kinds = [type(callback).__name__ for callback in callbacks]
    if kinds != [state["kind"] for state in states]:
        raise UsageError(
            f"The checkpoint has the state of other callbacks than this job's "
            f"({', '.join(kinds) or 'none'}).",
            hint="Start a new run, or bring the job back to what it was.",
        )
    for callback, state in zip(callbacks, states, strict=True):
        for name, value in state["attributes"].items():
            setattr(callback, name, _decode(value, arrays))


def _encode(value: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    """Return a value as JSON, its arrays put aside; `_NOTHING` if it is no state."""
    import numpy as np

    if value is None or isinstance(value, (bool, int, float, str)):
        # NumPy's float64 is a float, and JSON keeps every bit of one.
        return value
    if isinstance(value, (np.ndarray, np.generic)):
        name = f"callbacks.{len(arrays):04d}"
        arrays[name] = np.asarray(value)
        return {_ARRAY: name, "scalar": isinstance(value, np.generic)}
    if isinstance(value, (list, tuple)):
        items = [_encode(item, arrays) for item in value]
        return _NOTHING if any(item is _NOTHING for item in items) else items
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        encoded = {key: _encode(item, arrays) for key, item in value.items()}
        return _NOTHING if any(item is _NOTHING for item in encoded.values()) else encoded
    return _NOTHING


def _decode(value: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    if isinstance(value, list):
        return [_decode(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if _ARRAY in value:
        array = arrays[value[_ARRAY]]
        return array[()] if value["scalar"] else array
    return {key: _decode(item, arrays) for key, item in value.items()}
