"""Evaluation: each worker counts its own test rows, once, outside any collective."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from orchestrator.records.predictions import Predictions
from orchestrator.records.tally import CALIBRATION_BINS, Mistake, Tally, hardest

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray


def evaluate(
    model: keras.Model,
    batches: Iterable[tuple[int, Any, NDArray[Any], NDArray[Any]]],
    classes: int,
    *,
    one_hot: bool = False,
) -> tuple[dict[int, Tally], Predictions]:
    """Count over the rows of some streams.

    Args:
        model: A compiled classifier that no strategy distributes.
        batches: (stream, features, labels `(rows,)`, row numbers `(rows,)`) of the test split.
        classes: Number of classes.
        one_hot: Whether the model's loss takes labels one-hot.

    Returns:
        The tally of each stream, and what was said of each row.
    """
    predict = _predictor(model, depth=classes if one_hot else None)
    tallies: dict[int, Tally] = {}
    said = []
    for stream, x, labels, rows in batches:
        probabilities, losses = predict(x, labels)
        tally = count(probabilities, losses, labels, rows, classes)
        tallies[stream] = tallies.get(stream, Tally.empty(classes)) + tally
        predicted = probabilities.argmax(axis=1)
        said.append(Predictions(row=rows, label=labels, predicted=predicted))
    return tallies, Predictions.merge(said)


def count(
    probabilities: NDArray[Any],
    losses: NDArray[Any],
    labels: NDArray[Any],
    rows: NDArray[Any],
    classes: int,
) -> Tally:
    """Count a batch of predictions.

    Args:
        probabilities: `(rows, classes)`.
        losses: `(rows,)`.
        labels: `(rows,)` class indices.
        rows: `(rows,)` row numbers in the source.
        classes: Number of classes.
    """
    import numpy as np

    predicted = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1).astype(np.float64)
    wrong = np.flatnonzero(predicted != labels)
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    return Tally(
        rows=len(labels),
        loss_sum=float(losses.astype(np.float64).sum()),
        confusion=tuple(tuple(line) for line in confusion.tolist()),
        bin_rows=tuple(np.bincount(bins, minlength=CALIBRATION_BINS).tolist()),
        bin_confidence=tuple(np.bincount(bins, confidence, CALIBRATION_BINS).tolist()),
        bin_correct=tuple(
            np.bincount(bins[predicted == labels], minlength=CALIBRATION_BINS).tolist()
        ),
        hardest=hardest(
            Mistake(
                row=int(rows[i]),
                label=int(labels[i]),
                predicted=int(predicted[i]),
                confidence=float(confidence[i]),
                loss=float(losses[i]),
            )
            for i in wrong
        ),
    )


def _predictor(
    model: keras.Model, *, depth: int | None
) -> Callable[[Any, NDArray[Any]], tuple[NDArray[Any], NDArray[Any]]]:
    """Return a function from features and labels to probabilities and each row's loss.

    Args:
        model: The classifier.
        depth: Width of the one-hot labels that its loss takes; None if it takes class indices.
    """
    import keras
    import tensorflow as tf

    loss = keras.losses.get(model.loss)
    row_loss = loss.call if isinstance(loss, keras.losses.Loss) else loss
    logits = bool(getattr(loss, "from_logits", False)) or bool(
        getattr(loss, "_fn_kwargs", {}).get("from_logits", False)
    )

    def predict(x: Any, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        output = model(x, training=False)
        target = y if depth is None else tf.one_hot(y, depth)
        return (tf.nn.softmax(output) if logits else output), row_loss(target, output)

    graph: list[Callable[[Any, Any], tuple[tf.Tensor, tf.Tensor]]] = []

    def to_arrays(x: Any, y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        batch = tf.nest.map_structure(tf.convert_to_tensor, (x, y))
        if not graph:
            # Streams differ by a row: one graph for any number of them, as tracing takes longest.
            form = tf.nest.map_structure(
                lambda t: tf.TensorSpec((None, *t.shape[1:]), t.dtype), batch
            )
            graph.append(tf.function(predict, input_signature=form, autograph=False))
        probabilities, losses = graph[0](*batch)
        return probabilities.numpy(), losses.numpy()

    return to_arrays
