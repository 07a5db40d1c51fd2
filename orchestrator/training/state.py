"""The state of training as arrays: out of a distributed model, and back into one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray


def variables_of(model: keras.Model) -> dict[str, keras.Variable]:
    """Return every variable that training changes, by a name that is the same in every process.

    They are the model's (random state of its layers included), its metrics' and the optimizer's.
    """
    groups = {
        "model": model.variables,
        "metrics": model.metrics_variables,
        "optimizer": model.optimizer.variables,
    }
    return {
        f"{group}.{index:04d}": variable
        for group, variables in groups.items()
        for index, variable in enumerate(variables)
    }


def read_state(model: keras.Model) -> dict[str, NDArray[Any]]:
    """Read all variables. All workers must do it together: metrics are summed over them."""
    return {name: variable.numpy() for name, variable in variables_of(model).items()}


def write_state(model: keras.Model, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Set all variables, in the strategy's scope.

    Raises:
        UsageError: The arrays are of another model.
    """
    variables = variables_of(model)
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    if shapes != {name: array.shape for name, array in arrays.items()}:
        raise UsageError(
            "The checkpoint is of another model than this job builds now.",
            hint="Start a new run, or bring the job back to what it was.",
        )
    for name, variable in variables.items():
        variable.assign(arrays[name])
