"""The input of `fit`: each step's rows of this worker, and the worker's share of the batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.data.batches import StepReader
from orchestrator.data.manifest import Manifest

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf
    from numpy.typing import NDArray

#: Steps that are read ahead.
_PREFETCH_STEPS = 32


def features_of(manifest: Manifest, columns: Mapping[str, NDArray[Any]]) -> Any:
    """Return what a model takes: the one feature's array, or a dict of several."""
    names = [column.name for column in manifest.features]
    return columns[names[0]] if len(names) == 1 else {name: columns[name] for name in names}


def step_dataset(reader: StepReader, *, epoch: int, step: int) -> tf.data.Dataset:
    """Make the dataset of (features, labels, share) from a position to the end of the plan.

    `share` is the worker's rows · workers / rows of the global batch. A worker that holds no row
    of a step, which can happen in an epoch's last one, lends a row with share 0: it must take part
    in the sum of gradients.

    The dataset says that it is infinite, since `fit` takes exactly the planned steps. Of a finite
    one, the strategy would ask all workers before each step whether it has ended.
    """
    import tensorflow as tf

    def generate() -> Iterator[tuple[Any, NDArray[Any], np.float32]]:
        return _steps(reader, epoch, step)

    return (
        tf.data.Dataset.from_generator(generate, output_signature=_signature(reader.manifest))
        .apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
        .prefetch(_PREFETCH_STEPS)
    )


def _steps(
    reader: StepReader, epoch: int, step: int
) -> Iterator[tuple[Any, NDArray[Any], np.float32]]:
    import numpy as np

    plan = reader.plan
    for columns in reader.steps(epoch=epoch, step=step):
        rows = len(columns[reader.manifest.label.name])
        held = columns if rows else reader.any_row()
        share = np.float32(rows * plan.workers / plan.rows_of_step(step))
        yield features_of(reader.manifest, held), held[reader.manifest.label.name], share
        step = (step + 1) % plan.steps_per_epoch


def _signature(manifest: Manifest) -> tuple[Any, tf.TensorSpec, tf.TensorSpec]:
    import tensorflow as tf

    specs = {
        column.name: tf.TensorSpec((None, *column.shape), column.dtype)
        for column in (*manifest.features, manifest.label)
    }
    return features_of(manifest, specs), specs[manifest.label.name], tf.TensorSpec((), tf.float32)
