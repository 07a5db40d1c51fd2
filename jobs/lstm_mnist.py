"""Reads each image as a sequence of rows."""

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Interval

from orchestrator import DatasetInfo, Training, job


@job(dataset="mnist", epochs=5, batch_size=128, shape=(28, 28))
def lstm_mnist(
    info: DatasetInfo,
    units: Annotated[int, Ge(1), "Units of the LSTM."] = 64,
    hidden: Annotated[int, Ge(1), "Units of the dense layer after it."] = 128,
    activation: Annotated[
        Literal["tanh", "relu"], "Activation of the LSTM; GPUs have a fused kernel for tanh."
    ] = "tanh",
    image_size: Annotated[
        int,
        Ge(0),
        "Rows and columns that images are padded to, with black; 0 leaves them as they are.",
    ] = 0,
    labels: Annotated[
        Literal["integers", "one-hot"], "Form of labels, and with it of the cross-entropy."
    ] = "integers",
    learning_rate: Annotated[float, Gt(0), "Learning rate of Adam."] = 1e-3,
    decay: Annotated[
        float, Interval(gt=0, le=1), "What the learning rate is multiplied by after each epoch."
    ] = 1.0,
):
    import keras

    image = info.feature
    model = keras.Sequential(
        [
            keras.Input(image.shape, name="image"),
            keras.layers.Rescaling(1 / 255 if image.dtype == "uint8" else 1),
            *(_padding(image.shape, image_size) if image_size else []),
            keras.layers.LSTM(units, activation=activation),
            keras.layers.Dense(hidden, activation="relu"),
            keras.layers.Dense(len(info.classes), activation="softmax"),
        ]
    )
    one_hot = labels == "one-hot"
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss="categorical_crossentropy" if one_hot else "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=True,
    )
    # From the epoch alone, so that a run that is taken up goes on with the same rates.
    rates = keras.callbacks.LearningRateScheduler(lambda epoch, _: learning_rate * decay**epoch)
    return Training(model=model, callbacks=[rates], labels=labels)


def _padding(shape, size):
    """Return the layers that put images of this shape into the middle of a black square."""
    import keras

    borders = [size - pixels for pixels in shape]
    if min(borders) < 0:
        raise ValueError(f"images of {shape} pixels don't fit into {size} rows")
    # Padding keeps each pixel's neighbours. Cutting the pixels into other rows would not.
    return [
        keras.layers.Reshape((*shape, 1)),
        keras.layers.ZeroPadding2D([(border // 2, border - border // 2) for border in borders]),
        keras.layers.Reshape((size, size)),
    ]
