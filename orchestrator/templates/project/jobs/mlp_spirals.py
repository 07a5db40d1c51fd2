"""Tells two spirals apart, with two dense layers."""

from typing import Annotated

from orchestrator import job


# `launch-job mlp-spirals` runs it. The parameters below are its options, such as `--units 32`, with
# their types, defaults and help.
@job(dataset="spirals", epochs=8, batch_size=64)
def mlp_spirals(
    units: Annotated[int, "Units of each hidden layer."] = 64,
    learning_rate: Annotated[float, "Learning rate of Adam."] = 1e-2,
):
    # Imported here and not above, so that `launch-job --help` stays fast.
    import keras

    model = keras.Sequential(
        [
            keras.Input((2,), name="point"),
            keras.layers.Dense(units, activation="relu"),
            keras.layers.Dense(units, activation="relu"),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model
