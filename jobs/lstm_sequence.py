"""Remembers what came first in a sequence of 64 steps."""

from typing import Annotated

from annotated_types import Ge, Gt

from orchestrator import DatasetInfo, job


@job(dataset="sequences", epochs=5, batch_size=64, shape=(64, 8))
def lstm_sequence(
    info: DatasetInfo,
    units: Annotated[int, Ge(1), "Units of the LSTM."] = 50,
    learning_rate: Annotated[float, Gt(0), "Learning rate of Adam."] = 3e-3,
):
    import keras

    model = keras.Sequential(
        [
            keras.Input(info.feature.shape, name="sequence"),
            keras.layers.LSTM(units),
            keras.layers.Dense(len(info.classes), activation="softmax"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=True,
    )
    return model
