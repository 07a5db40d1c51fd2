"""Reads each image as a sequence of rows."""

from typing import Annotated, Literal

from annotated_types import Ge, Gt

from orchestrator import Training, job


@job(dataset="mnist", epochs=5, batch_size=128)
def lstm_mnist(
    units: Annotated[int, Ge(1), "Units of the LSTM."] = 64,
    hidden: Annotated[int, Ge(1), "Units of the dense layer after it."] = 128,
    activation: Annotated[
        Literal["tanh", "relu"], "Activation of the LSTM; GPUs have a fused kernel for tanh."
    ] = "tanh",
    image_size: Annotated[int, Ge(28), "Rows and columns of images, padded with black."] = 28,
    labels: Annotated[
        Literal["integers", "one-hot"], "Form of labels, and with it of the cross-entropy."
    ] = "integers",
    learning_rate: Annotated[float, Gt(0), "Learning rate of Adam."] = 1e-3,
):
    import keras

    border = image_size - 28
    # Padding keeps each pixel's neighbours. Cutting the pixels into other rows would not.
    around = (border // 2, border - border // 2)
    padding = [
        keras.layers.Reshape((28, 28, 1)),
        keras.layers.ZeroPadding2D((around, around)),
        keras.layers.Reshape((image_size, image_size)),
    ]
    model = keras.Sequential(
        [
            keras.Input((28, 28), name="image"),
            keras.layers.Rescaling(1 / 255),
            *(padding if border else []),
            keras.layers.LSTM(units, activation=activation),
            keras.layers.Dense(hidden, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    one_hot = labels == "one-hot"
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss="categorical_crossentropy" if one_hot else "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=True,
    )
    return Training(model=model, labels=labels)
