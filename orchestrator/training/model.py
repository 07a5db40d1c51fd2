"""A job's model, twice: one that the strategy distributes, and a plain one."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

from orchestrator.catalog.definition import Training
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import keras
    import numpy as np
    import tensorflow as tf
    from numpy.typing import NDArray

    from orchestrator.catalog.definition import Job
    from orchestrator.data.manifest import Manifest


def build_training(job: Job, params: Mapping[str, Any]) -> Training:
    """Build and compile a job's model, in the scope of the strategy that is in force.

    Raises:
        UsageError: The job's function fails, or returns no model.
    """
    import keras

    try:
        built = job.build(**params)
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
    if not training.model.compiled:
        training.model.compile(
            optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"]
        )
    return training


def distribute(
    model: keras.Model, strategy: tf.distribute.Strategy, manifest: Manifest
) -> keras.Model:
    """Create all variables of a model that was built in the strategy's scope, for `fit` to use."""
    with strategy.scope():
        _create_variables(model, manifest)
    # `fit` would build the model from a distributed batch, which fails under this strategy; it
    # doesn't try on a model that knows of no strategy, and takes the one in scope instead.
    model._distribute_strategy = None
    return model


def plain_twin(
    job: Job, params: Mapping[str, Any], manifest: Manifest, weights: list[NDArray[Any]]
) -> keras.Model:
    """Build the model again, undistributed, with the given weights."""
    twin = build_training(job, params).model
    _create_variables(twin, manifest)
    twin.set_weights(weights)
    return twin


def example(manifest: Manifest) -> tuple[Any, NDArray[Any]]:
    """Return one row of zeros: (features, label), as batches of one."""
    import numpy as np

    arrays: dict[str, NDArray[np.generic]] = {
        column.name: np.zeros((1, *column.shape), column.dtype) for column in manifest.features
    }
    x = next(iter(arrays.values())) if len(arrays) == 1 else arrays
    return x, np.zeros((1,), manifest.label.dtype)


def _create_variables(model: keras.Model, manifest: Manifest) -> None:
    # The part of Keras's `fit` that makes variables of layers, metrics, loss and optimizer.
    model._symbolic_build(data_batch=example(manifest))
