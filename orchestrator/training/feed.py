"""The input of `fit`: each step's rows of this worker, and the worker's share of the batch.

Python hands TensorFlow many steps at a time, and TensorFlow's own threads cut them into steps:
one call into Python a step would cost more than gathering its rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.data.batches import StepReader, StepRows
from orchestrator.data.manifest import Manifest

if TYPE_CHECKING:
    import tensorflow as tf
    from numpy.typing import NDArray

#: Gathers and steps that are kept ready. Steps are slices of a gather, so they take no memory.
_READY_GATHERS, _READY_STEPS = 2, 8


def features_of(manifest: Manifest, columns: Mapping[str, Any]) -> Any:
    """Return what a model takes: the one feature's rows, or a dict of several."""
    names = [column.name for column in manifest.features]
    return columns[names[0]] if len(names) == 1 else {name: columns[name] for name in names}


def step_dataset(reader: StepReader, *, epoch: int = 0, step: int = 0) -> tf.data.Dataset:
    """Make the dataset of a worker's steps from a position to the end of the plan.

    An element is (features, labels, share). Features are `(rows, *shape)`, or a dict of them;
    labels are `(rows,)`; share is a float32: rows of this worker · workers / rows of the global
    batch. A worker that holds no row of a step lends one of its rows with share 0, since it must
    take part in the sum of gradients.

    The dataset says that it is infinite, since `fit` takes exactly the planned steps. Of a finite
    one, the strategy would ask all workers before each step whether it has ended.

    Args:
        reader: Reads the worker's rows.
        epoch: Epoch to begin with, from 0.
        step: Step of that epoch to begin with.
    """
    import tensorflow as tf

    def generate() -> Iterator[tuple[dict[str, NDArray[Any]], NDArray[Any], NDArray[Any]]]:
        for gathered in reader.gathers(epoch=epoch, step=step):
            yield _gathered(reader, gathered)

    def cut(rows: Any, bounds: tf.Tensor, shares: tf.Tensor) -> tf.data.Dataset:
        steps = tf.data.Dataset.from_tensor_slices((bounds, shares))
        return steps.map(lambda bound, share: (*_slice(rows, bound), share))

    def _slice(rows: Any, bound: tf.Tensor) -> tuple[Any, tf.Tensor]:
        cut = {name: column[bound[0] : bound[1]] for name, column in rows.items()}
        return features_of(reader.manifest, cut), cut[reader.manifest.label.name]

    gathers = tf.data.Dataset.from_generator(generate, output_signature=_signature(reader.manifest))
    return (
        gathers.prefetch(_READY_GATHERS)
        .flat_map(cut)
        .apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
        .prefetch(_READY_STEPS)
    )


def _gathered(
    reader: StepReader, gathered: StepRows
) -> tuple[dict[str, NDArray[Any]], NDArray[Any], NDArray[Any]]:
    """Return the rows of several steps, the bounds of each step in them, and its share."""
    import numpy as np

    plan, sizes = reader.plan, np.array(gathered.sizes)
    ends = np.cumsum(sizes)
    # A step without rows borrows the row before it, or the one after it.
    starts = np.where(sizes > 0, ends - sizes, np.maximum(ends - 1, 0))
    bounds = np.stack([starts, np.maximum(ends, 1)], axis=1)
    whole = [plan.rows_of_step(gathered.first + at) for at in range(len(sizes))]
    shares = (sizes * plan.workers / np.array(whole)).astype(np.float32)
    held = gathered.columns if ends[-1] else reader.any_row()
    names = [column.name for column in (*reader.manifest.features, reader.manifest.label)]
    return {name: held[name] for name in names}, bounds, shares


def _signature(manifest: Manifest) -> tuple[dict[str, Any], tf.TensorSpec, tf.TensorSpec]:
    import tensorflow as tf

    rows = {
        column.name: tf.TensorSpec((None, *column.shape), column.dtype)
        for column in (*manifest.features, manifest.label)
    }
    return rows, tf.TensorSpec((None, 2), tf.int64), tf.TensorSpec((None,), tf.float32)
