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


def train_step_of(model: keras.Model) -> Callable[[tuple[Any, Any]], Any]:
    """Return the function that trains on one batch (x, y) of this worker.

    It is the model's own `train_step`, unless that is Keras's default and the model was compiled
    with `jit_compile` (which Keras doesn't turn on by itself under a strategy).
    """
    import keras

    overridden = type(model).train_step is not keras.Model.train_step
    return model.train_step if overridden or not model.jit_compile else _compiled_step(model)


def _compiled_step(model: keras.Model) -> Callable[[tuple[Any, Any]], Any]:
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
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        loss_metric.update_state(loss * replicas, sample_weight=tf.shape(y)[0])
        model.optimizer.apply_gradients(zip(gradients, model.trainable_weights, strict=True))
        return model.compute_metrics(x, y, predicted, sample_weight=None)

    return train_step
