"""The train function that Keras's `fit` calls: several steps under the strategy, in one graph.

`fit` keeps a `train_function` that a model brings, and it is the only part of it that breaks
under MultiWorkerMirroredStrategy (keras-team/keras#20585): its own one reduces scalars along an
axis that they don't have. This one leaves each worker its own metrics during an epoch; `fit` sums
them over the workers at its end.

To `fit`, a call is a batch: a callback's `on_train_batch_end` comes after each call, and its number
counts calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from orchestrator.errors import RunFailedError
from orchestrator.training.gradients import train_step_of
from orchestrator.training.reduction import GradientReduction

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from orchestrator.data.plan import TrainingPlan

#: Steps in one call of the graph. Eight gave 20% more rows/s than one; more gave nothing.
STEPS_PER_CALL = 8


class Stepper:
    """Takes the planned steps of each epoch, and knows where it stands.

    Args:
        model: Compiled model, built under the strategy.
        plan: Steps to take.
        strategy: The strategy it trains under.
        start_epoch: Epoch to begin with, from 0.
        start_step: Step of that epoch to begin with.
        halt_every: Steps of an epoch after which a call has to end, each time; None: anywhere.
        wishes_pause: Asked before each call whether this worker wishes to pause.
    """

    def __init__(
        self,
        model: keras.Model,
        plan: TrainingPlan,
        strategy: tf.distribute.Strategy,
        *,
        start_epoch: int = 0,
        start_step: int = 0,
        halt_every: int | None = None,
        wishes_pause: Callable[[], bool] = lambda: False,
    ) -> None:
        self.model = model
        self.plan = plan
        #: Epoch that is being trained, from 0.
        self.epoch = start_epoch
        #: Steps of this epoch that are done.
        self.step = start_step
        #: Rows that this worker has trained on.
        self.rows_seen = 0
        #: Whether a worker has wished to pause; the same on all of them.
        self.pausing = False
        #: Whether the last call had no step to take.
        self.idle = False
        self._logs: dict[str, float] = {}
        self._halt_every = halt_every or plan.steps_per_epoch
        self._wishes_pause = wishes_pause
        self._iterator: Any = None
        self._reduction = GradientReduction()
        self._reduction.attach(model.optimizer)
        self._graph = self._build_graph(strategy)
        model.steps_per_execution = 1
        model.train_function = self

    @property
    def calls_per_epoch(self) -> int:
        """Most calls that an epoch takes, from its beginning or from where training starts."""
        return max(self._calls_from(0), self._calls_from(self.step))

    def begin_epoch(self, epoch: int) -> None:
        """Go to the first step of an epoch, unless training starts in the middle of it."""
        if epoch != self.epoch:
            self.epoch, self.step = epoch, 0

    def __call__(self, iterator: Any) -> dict[str, float]:
        """Take the next steps; `fit` calls this with its iterator of (x, y, share).

        Returns:
            This worker's running metrics of the epoch. Once the epoch is over, the last ones
            again: `fit` may call more often than an epoch that was begun before has steps.

        Raises:
            RunFailedError: The loss or a gradient is not a finite number.
        """
        import tensorflow as tf

        self._iterator = iterator
        count = self._steps_of_call(self.step)
        self.idle = count <= 0
        if self.idle:
            return self._logs
        wish = tf.constant(float(self._wishes_pause()))
        rows, broken, pause, logs = self._graph(iterator, tf.constant(count), wish)
        values = {name: float(value) for name, value in logs.items()}
        self._check_finite(int(broken), values)
        self.rows_seen += int(rows)
        self.step += count
        self.pausing = bool(pause)
        self._logs = values
        return values

    def _steps_of_call(self, step: int) -> int:
        """Return how many steps a call takes that begins at a step."""
        to_halt = self._halt_every - step % self._halt_every
        return min(STEPS_PER_CALL, to_halt, self.plan.steps_per_epoch - step)

    def _calls_from(self, step: int) -> int:
        calls = 0
        while (count := self._steps_of_call(step)) > 0:
            step, calls = step + count, calls + 1
        return calls

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

    def _build_graph(self, strategy: tf.distribute.Strategy) -> Callable[..., Any]:
        import tensorflow as tf

        model, reduction = self.model, self._reduction
        train_step = train_step_of(model)

        lends = not self.plan.every_worker_has_rows

        def one_step(
            element: tuple[Any, tf.Tensor, tf.Tensor], wish: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            x, y, share = element
            kept = [v.value + 0 for v in model.metrics_variables] if lends else []
            with reduction.step(share, wish):
                train_step((x, y))
            # A row that was only lent to take part in the sum is not counted.
            for variable, value in zip(model.metrics_variables if lends else [], kept, strict=True):
                variable.assign(tf.where(share > 0, variable.value, value))
            rows = tf.where(share > 0, tf.shape(y)[0], 0)
            return rows, reduction.finite(), reduction.pause()

        def metrics() -> dict[str, Any]:
            return model.get_metrics_result()

        @tf.function(reduce_retracing=True)
        def steps(iterator: Any, count: tf.Tensor, wish: tf.Tensor) -> Any:
            rows, broken, pause = tf.constant(0), tf.constant(-1), tf.constant(False)
            for index in tf.range(count):
                seen, finite, pause = strategy.run(one_step, args=(next(iterator), wish))
                rows += seen
                if broken < 0 and not finite:
                    broken = index
            return rows, broken, pause, strategy.run(metrics)

        return steps
