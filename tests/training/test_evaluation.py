"""Evaluation of a worker's streams: one graph for all of them, and every row counted."""

import numpy as np
import pytest

pytestmark = pytest.mark.slow


def test_streams_of_any_length_are_counted_with_one_graph():
    import keras
    import tensorflow as tf

    from orchestrator.training.evaluation import evaluate

    traced = []

    class Counts(keras.layers.Layer):
        def call(self, x):
            traced.append(x.shape)
            return x

    model = keras.Sequential([keras.Input((3,)), Counts(), keras.layers.Dense(2, "softmax")])
    model.compile(loss="sparse_categorical_crossentropy")
    traced.clear()
    rows = np.random.default_rng(0).random((30, 3), np.float32)
    labels = np.arange(30) % 2
    cuts = {0: slice(0, 7), 1: slice(7, 15), 2: slice(15, 30)}
    batches = [(s, rows[cut], labels[cut], np.arange(30)[cut]) for s, cut in cuts.items()]
    tallies, said = evaluate(model, batches, 2)
    assert traced == [tf.TensorShape((None, 3))]
    assert {stream: tally.rows for stream, tally in tallies.items()} == {0: 7, 1: 8, 2: 15}
    expected = model.predict(rows, verbose=0).argmax(axis=1)
    assert said.predicted.tolist() == expected.tolist()
