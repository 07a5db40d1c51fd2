"""Reads each image as a sequence of rows."""

from typing import Annotated, Literal

from orchestrator import job


@job(dataset="mnist", epochs=5, batch_size=128)
def lstm_mnist(
    units: Annotated[int, "Units of the LSTM."] = 64,
    hidden: Annotated[int, "Units of the dense layer after it."] = 128,
    activation: Annotated[
        Literal["tanh", "relu"], "Activation of the LSTM; GPUs have a fused kernel for tanh."
    ] = "tanh",
    learning_rate: Annotated[float, "Learning rate of Adam."] = 1e-3,
):
    import keras

    model = keras.Sequential(
        [
            keras.Input((28, 28), name="image"),
            keras.layers.Rescaling(1 / 255),
            keras.layers.LSTM(units, activation=activation),
            keras.layers.Dense(hidden, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=True,
    )
    return model
