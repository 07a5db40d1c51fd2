"""The input of `fit`: each step's rows of this worker, and the worker's share of the batch.

Python hands TensorFlow stacks of steps, and TensorFlow's own threads take the steps from them: a
call into Python for each step would cost more than gathering its rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.data.batches import StepReader, StepRows
from orchestrator.data.manifest import Manifest
from orchestrator.training.model import tensor_type

if TYPE_CHECKING:
    import tensorflow as tf
    from numpy.typing import NDArray

#: Features, labels and shares of several steps; the first dimension of each is the step.
_Steps = tuple[Any, "NDArray[Any]", "NDArray[Any]"]

#: Stacks that are kept ready. Steps need no queue of their own: taking one off costs microseconds.
_READY_STACKS = 2


def features_of(manifest: Manifest, columns: Mapping[str, Any]) -> Any:
    """Return what a model takes: the one feature's rows, or a dict of several."""
    names = [column.name for column in manifest.features]
    return columns[names[0]] if len(names) == 1 else {name: columns[name] for name in names}


def step_dataset(
    reader: StepReader, *, epoch: int = 0, step: int = 0, one_hot: bool = False
) -> tf.data.Dataset:
    """Make the dataset of a worker's steps from a position to the end of the plan.

    An element is (features, labels, share). Features are `(rows, *shape)`, or a dict of them;
    labels are `(rows,)`, or one-hot `(rows, classes)` float32; share is a float32: rows of this
    worker · workers / rows of the global batch. A worker that holds no row of a step lends one of
    its rows with share 0, since it must take part in the sum of gradients.

    The dataset says that it is infinite, since `fit` takes exactly the planned steps. Of a finite
    one, the strategy would ask all workers before each step whether it has ended.

    Args:
        reader: Reads the worker's rows.
        epoch: Epoch to begin with, from 0.
        step: Step of that epoch to begin with.
        one_hot: Whether labels are one-hot.
    """
    import tensorflow as tf

    def generate() -> Iterator[_Steps]:
        for gathered in reader.gathers(epoch=epoch, step=step):
            yield from _alike(reader, gathered, one_hot)

    signature = _signature(reader.manifest, one_hot)
    stacks = tf.data.Dataset.from_generator(generate, output_signature=signature)
    return (
        stacks.prefetch(_READY_STACKS)
        .unbatch()
        .apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
    )


def _alike(reader: StepReader, gathered: StepRows, one_hot: bool) -> Iterator[_Steps]:
    """Yield stacks of successive steps that have the same number of rows."""
    import numpy as np

    plan, step, at = reader.plan, gathered.first, 0
    for size, group in itertools.groupby(gathered.sizes):
        count = len(list(group))
        held = {name: rows[at : at + count * size] for name, rows in gathered.columns.items()}
        if not size:
            held = {name: np.repeat(row, count, 0) for name, row in reader.any_row().items()}
        stacked = {n: rows.reshape(count, -1, *rows.shape[1:]) for n, rows in held.items()}
        whole = np.array([plan.rows_of_step(s) for s in range(step, step + count)])
        shares = (size * plan.workers / whole).astype(np.float32)
        labels = stacked[reader.manifest.label.name]
        if one_hot:
            labels = np.eye(len(reader.manifest.classes), dtype=np.float32)[labels]
        yield features_of(reader.manifest, stacked), labels, shares
        step, at = step + count, at + count * size


def _signature(manifest: Manifest, one_hot: bool) -> tuple[Any, tf.TensorSpec, tf.TensorSpec]:
    """Return the form of a stack: `(steps, rows, *shape)`, labels and `(steps,)`.

    Labels are `(steps, rows)`, or `(steps, rows, classes)`.
    """
    import tensorflow as tf

    specs = {
        column.name: tf.TensorSpec((None, None, *column.shape), tensor_type(column))
        for column in (*manifest.features, manifest.label)
    }
    share = tf.TensorSpec((None,), tf.float32)
    labels = specs[manifest.label.name]
    if one_hot:
        labels = tf.TensorSpec((None, None, len(manifest.classes)), tf.float32)
    return features_of(manifest, specs), labels, share
