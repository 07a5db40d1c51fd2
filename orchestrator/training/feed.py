"""The input of `fit`: the rows of each call of the train function.

Python hands TensorFlow the rows of a whole call, and the graph takes its steps from them: a call
into Python for each step would cost more than gathering its rows, and a slice costs no copy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.data.batches import StepReader
from orchestrator.data.manifest import Manifest
from orchestrator.training.calls import CallPlan
from orchestrator.training.model import tensor_type

if TYPE_CHECKING:
    import tensorflow as tf
    from numpy.typing import NDArray

#: Calls whose rows are read at once. Of rows that the system has in its memory, one reader would
#: give a quarter more, and of those that it has to fetch from a disk, half as many.
_READERS = 2

#: Calls whose rows are kept ready.
_READY = 2


def features_of(manifest: Manifest, columns: Mapping[str, Any]) -> Any:
    """Return what a model takes: the one feature's rows, or a dict of several."""
    names = [column.name for column in manifest.features]
    return columns[names[0]] if len(names) == 1 else {name: columns[name] for name in names}


def call_dataset(reader: StepReader, calls: CallPlan, *, one_hot: bool = False) -> tf.data.Dataset:
    """Make the dataset of a worker's calls: an element is (features, labels) of all steps of one.

    Features are `(rows, *shape)`, or a dict of them; labels are `(rows,)`, or one-hot
    `(rows, classes)` float32. The rows of one step follow those of the other. A worker that holds
    no row of a step lends one of its rows there, since it must take part in the sum of gradients.

    After the last call, elements without rows follow without end. `fit` takes exactly the planned
    calls; but of a finite dataset, the strategy would ask all workers before each call whether it
    has ended, and for a GPU, elements are fetched some calls ahead.

    Args:
        reader: Reads the worker's rows.
        calls: The calls.
        one_hot: Whether labels are one-hot.

    Raises:
        UnavailableError: A shard is missing or damaged.
    """
    import numpy as np
    import tensorflow as tf

    manifest = reader.manifest
    lends, lent = not calls.plan.every_worker_has_rows, reader.any_row()
    names = [column.name for column in (*manifest.features, manifest.label)]
    form = _form(manifest, one_hot)
    specs = tf.nest.flatten(form)

    def read(number: NDArray[Any]) -> list[NDArray[Any]]:
        call = calls.number(int(number))
        rows = reader.read(epoch=call.epoch, first=call.first, last=call.last, columns=names)
        if lends:
            rows = _filled(rows, calls.rows_of(call.first, call.last), lent)
        labels = rows[manifest.label.name]
        if one_hot:
            labels = np.eye(len(manifest.classes), dtype=np.float32)[labels]
        return list(tf.nest.flatten((features_of(manifest, rows), labels)))

    @tf.autograph.experimental.do_not_convert
    def element(number: tf.Tensor) -> Any:
        types = [spec.dtype for spec in specs]
        columns = tf.numpy_function(read, [number], types, stateful=False)
        for column, spec in zip(columns, specs, strict=True):
            column.set_shape(spec.shape)
        return tf.nest.pack_sequence_as(form, columns)

    nothing = tf.nest.map_structure(lambda spec: tf.zeros((0, *spec.shape[1:]), spec.dtype), form)
    options = tf.data.Options()
    # Threads of its own, since TensorFlow's may be as few as one, and that one computes.
    options.threading.private_threadpool_size = _READERS
    return (
        tf.data.Dataset.range(calls.total)
        .map(element, num_parallel_calls=_READERS, deterministic=True)
        .prefetch(_READY)
        .concatenate(tf.data.Dataset.from_tensors(nothing).repeat())
        .with_options(options)
    )


def _filled(
    rows: dict[str, NDArray[Any]], sizes: Sequence[int], lent: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """Put a lent row where a step has none."""
    import numpy as np

    if all(sizes):
        return rows
    ends = np.cumsum(sizes)
    empty = [end for end, size in zip(ends, sizes, strict=True) if not size]
    return {name: np.insert(column, empty, lent[name], axis=0) for name, column in rows.items()}


def _form(manifest: Manifest, one_hot: bool) -> tuple[Any, tf.TensorSpec]:
    """Return the form of an element."""
    import tensorflow as tf

    specs = {
        column.name: tf.TensorSpec((None, *column.shape), tensor_type(column))
        for column in (*manifest.features, manifest.label)
    }
    labels = specs[manifest.label.name]
    if one_hot:
        labels = tf.TensorSpec((None, len(manifest.classes)), tf.float32)
    return features_of(manifest, specs), labels
