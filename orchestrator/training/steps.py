"""The train function that Keras's `fit` calls: several steps under the strategy, in one graph.

`fit` keeps a `train_function` that a model brings, and it is the only part of it that breaks
under MultiWorkerMirroredStrategy (keras-team/keras#20585): its own one reduces scalars along an
axis that they don't have. This one leaves each worker its own metrics during an epoch; `fit` sums
them over the workers at its end.

To `fit`, a call is a batch: a callback's `on_train_batch_end` comes after each call, and its number
counts calls.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.errors import RunFailedError
from orchestrator.records.timeline import phase
from orchestrator.training.device import on_gpus
from orchestrator.training.gradients import is_compiled, train_step_of
from orchestrator.training.malloc import keep_freed_memory
from orchestrator.training.neighbours import Neighbours
from orchestrator.training.reduction import GradientReduction

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from orchestrator.data.plan import TrainingPlan
    from orchestrator.training.calls import CallPlan


class Stepper:
    """Takes the planned steps of each epoch, and knows where it stands.

    Args:
        model: Compiled model, built under the strategy.
        calls: The calls to come.
        strategy: The strategy it trains under.
        wishes_pause: Asked before each call whether this worker wishes to pause.
        neighbours: The run's other workers on this machine; None: it has none.
    """

    def __init__(
        self,
        model: keras.Model,
        calls: CallPlan,
        strategy: tf.distribute.Strategy,
        *,
        wishes_pause: Callable[[], bool] = lambda: False,
        neighbours: Neighbours | None = None,
    ) -> None:
        self.model = model
        #: Epoch that is being trained, from 0.
        self.epoch = calls.start_epoch
        #: Steps of this epoch that are done.
        self.step = calls.start_step
        #: Rows that this worker has trained on.
        self.rows_seen = 0
        #: Whether a worker has wished to pause; the same on all of them.
        self.pausing = False
        #: Whether the last call had no step to take.
        self.idle = False
        self._logs: dict[str, float] = {}
        self._calls = calls
        self._wishes_pause = wishes_pause
        self._neighbours = neighbours or Neighbours()
        self._iterator: Any = None
        self._reduction = GradientReduction(self._neighbours.shared_sum)
        self._reduction.attach(model.optimizer)
        self._strategy = strategy
        self._graph: Callable[..., Any] | None = None
        model.steps_per_execution = 1
        model.train_function = self

    @property
    def plan(self) -> TrainingPlan:
        """The steps to take."""
        return self._calls.plan

    @property
    def steps_per_call(self) -> int:
        """Most steps of a call."""
        return self._calls.most_steps

    def begin_epoch(self, epoch: int) -> None:
        """Go to the first step of an epoch, unless training starts in the middle of it."""
        if epoch != self.epoch:
            self.epoch, self.step = epoch, 0

    def __call__(self, iterator: Any) -> dict[str, float]:
        """Take the steps of the next call; `fit` calls this with its iterator of their rows.

        Where a worker wishes to pause, the first of them is the last; on GPUs, all are taken.

        Returns:
            This worker's running metrics of the epoch. Once the epoch is over, the last ones
            again: `fit` may call more often than an epoch that was begun before has steps.

        Raises:
            RunFailedError: The loss or a gradient is not a finite number.
        """
        import tensorflow as tf

        self._iterator = iterator
        last = self._calls.end_of(self.step)
        self.idle = last == self.step
        if self.idle:
            return self._logs
        if self._graph is None:
            keep_freed_memory()
            self._graph = self._build_graph(iterator)
        held = self._calls.rows_of(self.step, last)
        wish = tf.constant(float(self._wishes_pause()))
        compiled = is_compiled(self.model)
        leads = tf.constant(self._neighbours.prepare(max(held[0], 1), compiled=compiled))
        taken, broken, pause, logs = self._graph(
            iterator, *_bounds_and_shares(held, self.plan, self.step), wish, leads
        )
        values = {name: float(value) for name, value in logs.items()}
        self._check_finite(int(broken), values)
        self.rows_seen += sum(held[: int(taken)])
        self.step += int(taken)
        self.pausing = bool(pause)
        self._logs = values
        return values

    def _check_finite(self, broken: int, logs: dict[str, float]) -> None:
        import math

        if broken < 0 and math.isfinite(logs.get("loss", 0.0)):
            return
        step = self.step + max(broken, 0)
        raise RunFailedError(
            f"The loss became NaN or infinite in epoch {self.epoch + 1}, step {step + 1} "
            f"of {self.plan.steps_per_epoch}.",
            hint="Lower the learning rate, clip gradients, or look for bad values in the data.",
        )

    def _build_graph(self, iterator: Any) -> Callable[..., Any]:
        """Trace the steps of a call, of any number: the last call of an epoch has fewer."""
        import tensorflow as tf

        model, strategy = self.model, self._strategy
        # A GPU is told of the next step before it has done this one, unless that is in question.
        pauses_within = not on_gpus()

        def metrics() -> dict[str, Any]:
            return model.get_metrics_result()

        def check(rows: tuple[Any, tf.Tensor], planned: tf.Tensor) -> None:
            # The feed goes by the same plan; after its end, it has no rows.
            tf.debugging.assert_equal(tf.shape(rows[1])[0], planned, "Not the planned rows.")

        # AutoGraph would rewrite all that is called here, and Keras's own train function keeps it
        # from a model's code too: it took 0.4 s of the 1.3 s that the trace of an LSTM takes.
        @tf.function(autograph=False)
        def steps(
            iterator: Any, bounds: tf.Tensor, shares: tf.Tensor, wish: tf.Tensor, leads: tf.Tensor
        ) -> Any:
            rows = next(iterator)
            strategy.run(check, args=(rows, bounds[-1]))

            def take(index: tf.Tensor, broken: tf.Tensor, _: tf.Tensor) -> tuple[Any, ...]:
                step = slice(bounds[index], bounds[index + 1])
                tells = tf.logical_and(leads, index == 0)
                of = (rows, step, shares[index], wish, tells)
                finite, pause = strategy.run(self._trace_step, args=of)
                breaks = tf.logical_and(broken < 0, tf.logical_not(finite))
                return index + 1, tf.where(breaks, index, broken), pause

            def goes_on(index: tf.Tensor, _: tf.Tensor, pause: tf.Tensor) -> tf.Tensor:
                more = index < tf.size(shares)
                return tf.logical_and(more, tf.logical_not(pause)) if pauses_within else more

            taken, broken, pause = tf.while_loop(goes_on, take, (0, -1, False))
            return taken, broken, pause, strategy.run(metrics)

        return steps.get_concrete_function(
            iterator,
            tf.TensorSpec((None,), tf.int32),
            tf.TensorSpec((None,), tf.float32),
            tf.TensorSpec((), tf.float32),
            tf.TensorSpec((), tf.bool),
        )

    def _trace_step(
        self,
        rows: tuple[Any, tf.Tensor],
        step: slice,
        share: tf.Tensor,
        wish: tf.Tensor,
        tells: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Make the graph of one step: this Python runs then, not when steps are taken.

        Args:
            rows: Those of the call.
            step: Those of the step among them.
            share: Scalar: what they count for (`GradientReduction.step`).
            wish: Scalar: whether this worker wishes to pause.
            tells: Scalar: whether the other workers wait for what XLA makes of this step.

        Returns:
            Whether the summed gradient is finite, and whether any worker wishes to pause.
        """
        import tensorflow as tf

        counted = [] if self.plan.every_worker_has_rows else self.model.metrics_variables
        before = [variable.value + 0 for variable in counted]
        x, y = tf.nest.map_structure(operator.itemgetter(step), rows)

        def computed(loss: tf.Tensor) -> None:
            self._neighbours.tell(tf.shape(y)[0], tells, loss)

        train_step = train_step_of(self.model, computed=computed)
        with phase("trace"), self._reduction.step(share, wish):
            train_step((x, y))
        # A row that was only lent to take part in the sum is not counted.
        for variable, value in zip(counted, before, strict=True):
            variable.assign(tf.where(share > 0, variable.value, value))
        return self._reduction.finite(), self._reduction.pause()


def _bounds_and_shares(
    held: Sequence[int], plan: TrainingPlan, first: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return where each step's rows lie in those of a call, and what they count for.

    Args:
        held: Rows that the worker holds in each step; where it is none, it lends one.
        plan: The steps.
        first: The first of them.

    Returns:
        `(steps + 1,)` int32: the first row of each step, and the end of the last; and `(steps,)`
        float32: rows of this worker · workers / rows of the global batch.
    """
    import tensorflow as tf

    bounds = [0, *itertools.accumulate(max(rows, 1) for rows in held)]
    shares = [
        rows * plan.workers / plan.rows_of_step(step) for step, rows in enumerate(held, first)
    ]
    return tf.constant(bounds, tf.int32), tf.constant(shares, tf.float32)
