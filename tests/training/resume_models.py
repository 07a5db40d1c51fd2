"""What the resumption test trains: everything that has a state of its own between steps."""

BATCH = 16
EPOCHS = 4
EVERY = 5


def _compiled(layers, optimizer):
    import keras

    keras.utils.set_random_seed(5)
    model = keras.Sequential([keras.Input((6, 5)), *layers])
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def dropout_with_a_schedule():
    """Dropout's random state, Adam's moments, and a learning rate that follows the step."""
    import keras

    from orchestrator import Training

    rate = keras.optimizers.schedules.ExponentialDecay(0.02, decay_steps=7, decay_rate=0.7)
    layers = [
        keras.layers.Flatten(),
        keras.layers.Dense(16, activation="tanh"),
        keras.layers.Dropout(0.5),
        keras.layers.BatchNormalization(),
        keras.layers.Dense(3, activation="softmax"),
    ]
    return Training(model=_compiled(layers, keras.optimizers.Adam(rate)))


def callbacks_that_remember():
    """A plateau lowers the rate, early stopping ends training before its last epoch and puts the
    best weights back."""
    import keras

    from orchestrator import Training

    layers = [
        keras.layers.LSTM(8),
        keras.layers.Dense(3, activation="softmax"),
    ]
    model = _compiled(layers, keras.optimizers.SGD(0.5, momentum=0.9))
    plateau = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=0.5)
    stopping = keras.callbacks.EarlyStopping(
        "loss", patience=2, min_delta=0.5, restore_best_weights=True
    )
    return Training(model=model, callbacks=[plateau, stopping])


MODELS = {
    "dropout-schedule": dropout_with_a_schedule,
    "callbacks": callbacks_that_remember,
}
