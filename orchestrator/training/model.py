"""A job's model, twice: one that the strategy distributes, and a plain one."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

from orchestrator.catalog.definition import Training
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import keras
    import tensorflow as tf
    from numpy.typing import NDArray

    from orchestrator.catalog.definition import Job
    from orchestrator.catalog.info import Column, DatasetInfo
    from orchestrator.data.manifest import Manifest


#: Loss of a model that isn't compiled, by the form of its labels.
_LOSSES = {
    "integers": "sparse_categorical_crossentropy",
    "one-hot": "categorical_crossentropy",
}


def build_training(job: Job, params: Mapping[str, Any], info: DatasetInfo) -> Training:
    """Build and compile a job's model, in the scope of the strategy that is in force.

    Raises:
        UsageError: The job's function fails, or returns no model.
    """
    import keras

    try:
        built = job.make(params, info)
    except Exception as err:
        line = traceback.extract_tb(err.__traceback__)[-1]
        for frame in traceback.extract_tb(err.__traceback__):
            if frame.filename == str(job.path):
                line = frame
        raise UsageError(
            f"{line.filename}, line {line.lineno}: job {job.name} can't build its model: "
            f"{type(err).__name__}: {err}"
        ) from err
    training = built if isinstance(built, Training) else Training(model=built)
    if not isinstance(training.model, keras.Model):
        raise UsageError(
            f"{job.path}: job {job.name} returned {type(training.model).__name__}, "
            "not a keras.Model."
        )
    if training.labels not in _LOSSES:
        raise UsageError(
            f"{job.path}: job {job.name} asks for labels {training.labels!r}; there are "
            f"{' and '.join(_LOSSES)}."
        )
    if not training.model.compiled:
        training.model.compile("adam", loss=_LOSSES[training.labels], metrics=["accuracy"])
    return training


def distribute(training: Training, strategy: tf.distribute.Strategy, manifest: Manifest) -> None:
    """Create all variables of a model that was built in the strategy's scope, for `fit` to use."""
    with strategy.scope():
        create_variables(training.model, *_example(manifest, one_hot=training.one_hot))
    # `fit` would build the model from a distributed batch, which fails under this strategy; it
    # doesn't try on a model that knows of no strategy, and takes the one in scope instead.
    training.model._distribute_strategy = None


def plain_twin(
    job: Job, params: Mapping[str, Any], manifest: Manifest, weights: list[NDArray[Any]]
) -> keras.Model:
    """Build the model again, undistributed, with the given weights.

    It isn't trained, so it needs no variables of metrics, whose tracing takes most of the time, and
    none of the optimizer.
    """
    twin = build_training(job, params, manifest.info)
    if not twin.model.built:
        x, _ = _example(manifest, one_hot=twin.one_hot)
        twin.model(x)
    twin.model.set_weights(weights)
    return twin.model


def save_twin(model: keras.Model, path: Path) -> None:
    """Save it with variables of its optimizer: Keras warns of a saved model that has none."""
    model.optimizer.build(model.trainable_variables)
    model.save(path)


def tensor_type(column: Column) -> tf.DType:
    """Return the type in which TensorFlow holds a column."""
    import tensorflow as tf

    return tf.string if column.is_text else tf.as_dtype(column.dtype)


def _example(manifest: Manifest, *, one_hot: bool) -> tuple[Any, NDArray[Any]]:
    """Return one row of zeros: (features, label), as batches of one."""
    import numpy as np
    import tensorflow as tf

    arrays = {
        column.name: tf.zeros((1, *column.shape), tensor_type(column))
        for column in manifest.features
    }
    x = next(iter(arrays.values())) if len(arrays) == 1 else arrays
    if one_hot:
        return x, np.zeros((1, len(manifest.classes)), np.float32)
    return x, np.zeros((1,), manifest.label.dtype)


def create_variables(model: keras.Model, x: Any, y: Any) -> None:
    """Make the variables of a model's layers, metrics, loss and optimizer, as Keras's `fit` does.

    Keras would trace the layers only to learn the shape of what they give, which for an LSTM takes
    longer than all the rest; layers that are connected know it.

    Args:
        model: The model, compiled.
        x: One row of features, as a batch.
        y: Its label.
    """
    import keras
    from keras.src.backend import compute_output_spec

    if not _layers_are_connected(model):
        model._symbolic_build(data_batch=(x, y))
        return

    def symbolic(value: Any) -> keras.KerasTensor:
        return keras.KerasTensor(value.shape, keras.backend.standardize_dtype(value.dtype))

    x, y = keras.tree.map_structure(symbolic, (x, y))
    predicted = model.compute_output_spec(x)
    compute_output_spec(model.compute_metrics, x, y, predicted, None)
    if model.loss is not None:  # The losses of layers have no variables.
        compute_output_spec(model.compute_loss, x, y, predicted)
    model.optimizer.build(model.trainable_variables)


def _layers_are_connected(model: keras.Model) -> bool:
    """Return whether a model's layers know their shapes, and it trains as Keras's models do."""
    import keras
    from keras.src.models import Functional

    connected = isinstance(model, Functional) or (
        isinstance(model, keras.Sequential) and model.built
    )
    return connected and type(model).train_step is keras.Model.train_step
