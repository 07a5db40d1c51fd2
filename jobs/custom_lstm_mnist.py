"""A model written as a class of its own: an LSTM gives all its steps, and the last one is taken."""

from typing import Annotated

from annotated_types import Ge, Gt

from orchestrator import DatasetInfo, job


@job(dataset="mnist", epochs=5, batch_size=128, shape=(28, 28))
def custom_lstm_mnist(
    info: DatasetInfo,
    units: Annotated[int, Ge(1), "Units of the LSTM."] = 128,
    learning_rate: Annotated[float, Gt(0), "Learning rate of Adam."] = 1e-3,
):
    import keras

    # Under this name a file of the model finds its class again.
    @keras.saving.register_keras_serializable(package="launch_job")
    class CustomLSTM(keras.Model):
        def __init__(self, units, classes, scale, **more):
            super().__init__(**more)
            self.units, self.classes = units, classes
            self.scale = keras.layers.Rescaling(scale)
            self.lstm = keras.layers.LSTM(units, return_sequences=True)
            self.classify = keras.layers.Dense(classes, activation="softmax")

        def call(self, images):
            steps = self.lstm(self.scale(images))
            return self.classify(steps[:, -1, :])

        def get_config(self):
            mine = {"units": self.units, "classes": self.classes, "scale": self.scale.scale}
            return {**super().get_config(), **mine}

    scale = 1 / 255 if info.feature.dtype == "uint8" else 1.0
    model = CustomLSTM(units, len(info.classes), scale)
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=True,
    )
    return model
