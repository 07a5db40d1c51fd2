"""The models of the parity test. Their first weights depend on a seed only."""

from pathlib import Path

JOBS = Path(__file__).resolve().parents[2] / "jobs"

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


def _job(name, optimizer, **params):
    """Return a function that builds a job of the catalogue, small, with another optimizer."""

    def build(info):
        import keras

        from orchestrator.catalog import Job, Training, load_entry

        keras.utils.set_random_seed(3)
        job = load_entry(JOBS / f"{name.replace('-', '_')}.py", Job)
        made = job.make(job.parse(params), info)
        training = made if isinstance(made, Training) else Training(model=made)
        model = training.model
        model.compile(optimizer=optimizer(), loss=model.loss, metrics=["accuracy"])
        return training

    return build


#: Builders of models for the dataset of arrays, given what is known of it.
MODELS = {
    "lstm-adam-xla": lambda info: _compiled(_lstm, _adam, jit_compile=True),
    "lstm-one-hot": lambda info: _compiled(_lstm, _sgd, labels="one-hot"),
    "dense-adam": lambda info: _compiled(_dense_without_dropout, _adam),
    "dense-sgd-clipped": lambda info: _compiled(_dense_without_dropout, _clipped),
    # Its learning rate is set by a callback, epoch by epoch.
    "lstm-mnist": _job("lstm-mnist", _sgd, units=8, hidden=8, learning_rate=0.1, decay=0.5),
    "cnn-mnist": _job("cnn-mnist", _sgd, filters=4, hidden=8, dropout=0.0),
    "custom-lstm-mnist": _job("custom-lstm-mnist", _sgd, units=8),
    "lstm-sequence": _job("lstm-sequence", _sgd, units=8),
}

#: The same for the dataset of columns.
TABLE_MODELS = {"mlp-table": _job("mlp-table", _sgd, hidden=8)}
