"""The state of training as arrays: out of a distributed model, and back into one.

Variables of the model and of its optimizer are the same on every worker. A metric's are not: each
worker counts its own rows, and the sum is taken when an epoch ends. So a metric's array has a
first dimension of its own, the worker, and a worker that goes on gets back what it had counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.errors import UsageError
from orchestrator.training.exchange import packed, sum_over_workers, unpacked

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
    from numpy.typing import NDArray

#: Beginnings of names. A checkpoint has arrays of others too, such as callbacks'.
_SAME_EVERYWHERE, _METRICS = ("model.", "optimizer."), "metrics."


class TrainingState:
    """All variables that training changes, under names that are the same in every process.

    Every method but `write` is a collective: all workers call it together.

    Args:
        model: Compiled, with all its variables.
        strategy: What distributes it.
    """

    def __init__(self, model: keras.Model, strategy: tf.distribute.Strategy) -> None:
        self._model = model
        self._strategy = strategy
        self._workers = strategy.num_replicas_in_sync

    def read(self) -> dict[str, NDArray[Any]]:
        """Return every variable; a metric's is `(workers, *shape)`."""
        same = {name: variable.numpy() for name, variable in self._same_everywhere().items()}
        return {**same, **self._gather_metrics()}

    def write(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Set the variables of the model and the optimizer, in the strategy's scope.

        Raises:
            UsageError: The arrays are of another model.
        """
        variables = self._same_everywhere()
        wanted = {name: a for name, a in arrays.items() if name.startswith(_SAME_EVERYWHERE)}
        shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
        if shapes != {name: array.shape for name, array in wanted.items()}:
            raise UsageError(
                "The checkpoint is of another model than this job builds now.",
                hint="Start a new run, or bring the job back to what it was.",
            )
        for name, variable in variables.items():
            variable.assign(wanted[name])

    def write_metrics(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Give each worker what it had counted; other workers than before share the sum.

        Keras resets metrics when an epoch begins, so this belongs after that.
        """
        import tensorflow as tf

        held = [array for name, array in sorted(arrays.items()) if name.startswith(_METRICS)]
        variables = self._model.metrics_variables

        def assign() -> None:
            rank = tf.distribute.get_replica_context().replica_id_in_sync_group
            for variable, array in zip(variables, held, strict=True):
                parts = tf.constant(array)
                if len(array) == self._workers:
                    variable.assign(tf.gather(parts, rank))
                else:
                    total = tf.reduce_sum(parts, axis=0)
                    variable.assign(tf.where(rank == 0, total, tf.zeros_like(total)))

        tf.function(lambda: self._strategy.run(assign), autograph=False)()

    def _same_everywhere(self) -> dict[str, keras.Variable]:
        """Return the variables of the model (random state included) and of the optimizer."""
        groups = (self._model.variables, self._model.optimizer.variables)
        return {
            f"{group}{index:04d}": variable
            for group, variables in zip(_SAME_EVERYWHERE, groups, strict=True)
            for index, variable in enumerate(variables)
        }

    def _gather_metrics(self) -> dict[str, NDArray[Any]]:
        import tensorflow as tf

        variables = self._model.metrics_variables

        def own_rows() -> list[tf.Tensor]:
            # Each worker fills in its own row of an array of zeros, and the arrays are summed:
            # exact, and by the exchange that training uses anyway. All travel as one vector.
            rank = tf.distribute.get_replica_context().replica_id_in_sync_group
            rows = []
            for variable in variables:
                before, after = [rank, self._workers - 1 - rank], [[0, 0]] * len(variable.shape)
                row = tf.pad(variable.value[tf.newaxis], [before, *after])
                rows.append(tf.ensure_shape(row, (self._workers, *variable.shape)))
            return _summed(rows)

        if not hasattr(self, "_gather"):
            self._gather = tf.function(lambda: self._strategy.run(own_rows), autograph=False)
        return {
            f"{_METRICS}{index:04d}": value.numpy() for index, value in enumerate(self._gather())
        }


def _summed(arrays: list[tf.Tensor]) -> list[tf.Tensor]:
    """Trace the sums of arrays over the workers: one exchange for all of a type."""
    sums: dict[int, tf.Tensor] = {}
    for dtype in dict.fromkeys(array.dtype for array in arrays):
        places = [place for place, array in enumerate(arrays) if array.dtype == dtype]
        alike = [arrays[place] for place in places]
        total = sum_over_workers(packed(alike))
        sums |= zip(places, unpacked(total, [array.shape for array in alike]), strict=True)
    return [sums[place] for place in range(len(arrays))]
