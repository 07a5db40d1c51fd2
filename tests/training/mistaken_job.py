"""A job that fails in a way of its own choosing, in code that Keras calls."""

from typing import Literal

from orchestrator import Training, job


@job(dataset="noise")
def mistaken(
    how: Literal["train_step", "callback", "metric", "layer", "graph", "stop"] = "train_step",
):
    import keras
    import tensorflow as tf

    class Step(keras.Model):
        def train_step(self, data):
            raise ValueError(f"can't train on {len(data)} parts")  # in train_step

    class GraphStep(keras.Model):
        def train_step(self, data):
            tf.debugging.assert_equal(tf.shape(data[1]), -1, "labels are odd")  # in graph
            return super().train_step(data)

    class Callback(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            logs["speed"]  # in callback

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = True

    class Metric(keras.metrics.Mean):
        def update_state(self, y_true, y_pred, sample_weight=None):
            return super().update_state(y_pred.nothing)  # in metric

    class Layer(keras.layers.Layer):
        def call(self, x, training=None):
            return keras.ops.reshape(x, (3, 3)) if training else x  # in layer

    kind = {"train_step": Step, "graph": GraphStep}.get(how, keras.Model)
    image = keras.Input((4,))
    shaped = Layer()(image) if how == "layer" else image
    model = kind(image, keras.layers.Dense(3, activation="softmax")(shaped))
    model.compile(
        "adam",
        "sparse_categorical_crossentropy",
        metrics=[Metric()] if how == "metric" else [],
    )
    callbacks = {"callback": [Callback()], "stop": [Stop()]}
    return Training(model=model, callbacks=callbacks.get(how, []))
