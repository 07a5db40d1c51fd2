"""A train step in two halves, so that the first can be compiled by XLA.

A step that is compiled as a whole crashes under MultiWorkerMirroredStrategy on CPUs: XLA has no
collectives there. Forward and backward pass have none, and they are where the time goes; the sum
over workers, the update and the metrics stay outside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


def is_compiled(model: keras.Model) -> bool:
    """Return whether XLA compiles a model's forward and backward pass.

    So it is where the model was compiled with `jit_compile` (which Keras doesn't turn on by itself
    under a strategy) and has no `train_step` of its own.
    """
    import keras

    return model.jit_compile and type(model).train_step is keras.Model.train_step


def train_step_of(
    model: keras.Model, *, computed: Callable[[tf.Tensor], Any] = lambda loss: None
) -> Callable[[tuple[Any, Any]], Any]:
    """Return the function that trains on one batch (x, y) of this worker.

    Args:
        model: The model. What isn't compiled is its own `train_step`.
        computed: Called, while a compiled step is traced, with what the compiled part gives.
    """
    return _compiled_step(model, computed) if is_compiled(model) else model.train_step


def _compiled_step(
    model: keras.Model, computed: Callable[[tf.Tensor], Any]
) -> Callable[[tuple[Any, Any]], Any]:
    import tensorflow as tf

    loss_metric = next(metric for metric in model.metrics if metric.name == "loss")

    @tf.function(jit_compile=True, autograph=False)
    def forward_and_backward(x: Any, y: tf.Tensor) -> tuple[Any, Any, Any]:
        with tf.GradientTape() as tape:
            predicted = model(x, training=True)
            # Already divided by the number of replicas, as in Keras's own step.
            loss = model.compute_loss(x=x, y=y, y_pred=predicted, training=True)
            scaled = model.optimizer.scale_loss(loss)
        return loss, predicted, tape.gradient(scaled, model.trainable_weights)

    def train_step(data: tuple[Any, Any]) -> Any:
        x, y = data
        loss, predicted, gradients = forward_and_backward(x, y)
        computed(loss)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        loss_metric.update_state(loss * replicas, sample_weight=tf.shape(y)[0])
        model.optimizer.apply_gradients(zip(gradients, model.trainable_weights, strict=True))
        return model.compute_metrics(x, y, predicted, sample_weight=None)

    return train_step
