"""The variables that a model has before it trains: those that Keras's own `fit` would give it."""

import numpy as np
import pytest

pytestmark = pytest.mark.slow

X, Y = np.zeros((1, 4), np.float32), np.zeros((1, 3), np.float32)


def _sequential():
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
    model.compile("adam", loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def _metric_that_makes_its_variables_when_it_sees_rows():
    import keras

    x = keras.Input((4,))
    model = keras.Model(x, keras.layers.Dense(3, "softmax")(x))
    model.compile("sgd", loss="categorical_crossentropy", metrics=[keras.metrics.F1Score()])
    return model


def _loss_of_a_layer():
    import keras

    class Adds(keras.layers.Layer):
        def call(self, x):
            self.add_loss(keras.ops.mean(x))
            return x

    x = keras.Input((4,))
    model = keras.Model(x, Adds()(keras.layers.Dense(3)(x)))
    model.compile("sgd", metrics=["accuracy"])
    return model


def _subclass():
    import keras

    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(3, "softmax")

        def call(self, x):
            return self.dense(x)

    model = Own()
    model.compile("adam", loss="categorical_crossentropy", metrics=["accuracy"])
    return model


MODELS = (
    _sequential,
    _metric_that_makes_its_variables_when_it_sees_rows,
    _loss_of_a_layer,
    _subclass,
)


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_variables_are_those_that_keras_makes(make):
    import keras

    from orchestrator.training.model import create_variables

    def found(create):
        keras.utils.clear_session()  # Names are numbered.
        model = make()
        create(model)
        variables = [*model.variables, *model.metrics_variables, *model.optimizer.variables]
        return [(variable.name, variable.shape) for variable in variables]

    own = found(lambda model: model._symbolic_build(data_batch=(X, Y)))
    assert found(lambda model: create_variables(model, X, Y)) == own
