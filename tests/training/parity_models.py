"""The models of the parity test. Their first weights depend on a seed only."""

BATCH = 16
EPOCHS = 2


def _compiled(layers, optimizer, *, labels="integers", **compile_args):
    import keras

    from orchestrator.catalog import Training

    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((6, 5)), *layers()])
    model.compile(
        optimizer=optimizer(),
        loss=f"{'' if labels == 'one-hot' else 'sparse_'}categorical_crossentropy",
        metrics=["accuracy"],
        **compile_args,
    )
    return Training(model=model, labels=labels)


def _lstm():
    import keras

    return [
        keras.layers.LSTM(8),
        keras.layers.Dense(8, activation="tanh"),
        keras.layers.Dense(3, activation="softmax"),
    ]


def _convolutions():
    import keras

    return [
        keras.layers.Reshape((6, 5, 1)),
        keras.layers.Conv2D(4, 3, padding="same", activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Flatten(),
        keras.layers.Dense(3, activation="softmax"),
    ]


def _dense_without_dropout():
    import keras

    return [
        keras.layers.Flatten(),
        keras.layers.Dense(16, activation="tanh", kernel_regularizer="l2"),
        keras.layers.Dropout(0.0),
        keras.layers.Dense(3, activation="softmax"),
    ]


def _sgd():
    import keras

    return keras.optimizers.SGD(0.1, momentum=0.9)


def _adam():
    import keras

    # An epsilon this large keeps Adam from turning rounding in a tiny gradient into a whole step.
    return keras.optimizers.Adam(0.01, epsilon=1e-4)


def _clipped():
    import keras

    return keras.optimizers.SGD(0.5, global_clipnorm=0.1)


MODELS = {
    "lstm-sgd": lambda: _compiled(_lstm, _sgd),
    "lstm-adam-xla": lambda: _compiled(_lstm, _adam, jit_compile=True),
    "lstm-one-hot": lambda: _compiled(_lstm, _sgd, labels="one-hot"),
    "convolutions-sgd": lambda: _compiled(_convolutions, _sgd),
    "dense-adam": lambda: _compiled(_dense_without_dropout, _adam),
    "dense-sgd-clipped": lambda: _compiled(_dense_without_dropout, _clipped),
}
