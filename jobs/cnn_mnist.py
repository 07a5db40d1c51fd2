"""Finds strokes and corners with two layers of convolutions."""

from typing import Annotated

from annotated_types import Ge, Gt, Interval

from orchestrator import DatasetInfo, job


@job(dataset="mnist", epochs=4, batch_size=128, shape=(28, 28))
def cnn_mnist(
    info: DatasetInfo,
    filters: Annotated[
        int, Ge(1), "Filters of the first convolution; the second has twice as many."
    ] = 32,
    hidden: Annotated[int, Ge(1), "Units of the dense layer after them."] = 128,
    dropout: Annotated[
        float, Interval(ge=0, lt=1), "Share of those units that are left out of each step."
    ] = 0.3,
    learning_rate: Annotated[float, Gt(0), "Learning rate of Adam."] = 1e-3,
):
    import keras

    image = info.feature
    rows, columns, *colours = image.shape
    model = keras.Sequential(
        [
            keras.Input(image.shape, name="image"),
            keras.layers.Rescaling(1 / 255 if image.dtype == "uint8" else 1),
            keras.layers.Reshape((rows, columns, *(colours or (1,)))),
            keras.layers.Conv2D(filters, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(2 * filters, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(hidden, activation="relu"),
            keras.layers.Dropout(dropout),
            keras.layers.Dense(len(info.classes), activation="softmax"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model
