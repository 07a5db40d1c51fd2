"""Input: rows/s of shuffled MNIST batches, against NumPy, tf.data in memory and Ray Data's to_tf.

Everybody yields the same rows in the same types and is drained by a loop in a TensorFlow graph that
touches each batch of 128, after the first, so that nobody's start is counted. Ours yields the rows
of several batches at once, and the loop slices them, as the train function does. The peers are at
their best: tf.data with a shuffle buffer of all rows and `prefetch(AUTOTUNE)`, as its performance
guide has it; Ray Data on a dataset that lies in its object store, with a local shuffle buffer of
all rows, which gave more rows/s than smaller ones. Two more peers are shown for information:
tf.data that shuffles row numbers and gathers whole batches, and Ray Data without any shuffle.
NumPy's gather takes the rows of each batch from arrays in memory with `take`, its fastest way, and
does nothing else: it is what any input costs at least. (The time of its shuffle is left out.)
malloc is told in this process, so for everybody, what the workers of a run tell it.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import (
    ROOT,
    Comparison,
    Question,
    at_least,
    find_mnist,
    options,
    report,
    take_turns,
)

sys.path.insert(0, str(ROOT))  # so that it also runs where launch-job isn't installed

from orchestrator.catalog import load_catalog
from orchestrator.cluster.settings import TRAIN_SETTINGS, apply
from orchestrator.cluster.token import ensure_token
from orchestrator.data.batches import StepReader
from orchestrator.data.cache import StoredShards
from orchestrator.data.plan import TrainingPlan
from orchestrator.data.prepare import PreparedDataset, prepare
from orchestrator.data.source import Source, SourceContext
from orchestrator.storage.storage import Storage
from orchestrator.training.calls import CallPlan
from orchestrator.training.feed import call_dataset
from orchestrator.training.malloc import keep_freed_memory

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

BATCH_SIZE = 128

OURS, NUMPY = "launch-job", "NumPy gather"
TF_DATA, TF_GATHER = "tf.data, shuffled rows", "tf.data, shuffled row numbers"
RAY_DATA, RAY_PLAIN = "Ray Data, local shuffle", "Ray Data, no shuffle"
#: Passes over the rows a round: about two seconds for each contestant on two cores.
EPOCHS = {OURS: 30, NUMPY: 30, TF_DATA: 10, RAY_DATA: 3, TF_GATHER: 12, RAY_PLAIN: 4}

QUESTION = Question(
    name="input_pipeline",
    title="How fast do rows arrive?",
    unit="rows/s",
    comparisons=(
        Comparison(ours=OURS, peer=NUMPY, target=at_least(0.85)),
        Comparison(ours=OURS, peer=TF_DATA, target=at_least(2.5)),
        Comparison(ours=OURS, peer=RAY_DATA, target=at_least(10)),
        Comparison(ours=OURS, peer=TF_GATHER),
        Comparison(ours=OURS, peer=RAY_PLAIN),
    ),
    method=__doc__,
)


def main() -> int:
    rounds = options(__doc__, rounds=7).parse_args().rounds
    as_a_worker()
    with tempfile.TemporaryDirectory() as folder:
        context = SourceContext(data_dir=find_mnist(), cache_dir=Path(folder) / "cache")
        source = load_catalog(ROOT).datasets.get("mnist").load(context)
        images, labels = arrays(source)
        storage = Storage.at(str(Path(folder) / "storage"))
        ours = prepare("mnist", source, streams=8, storage=storage)
        with ray_dataset(images, labels, Path(folder)) as shared:
            peers: dict[str, Callable[[], tf.data.Dataset]] = {
                TF_DATA: lambda: tf_data(images, labels),
                RAY_DATA: lambda: to_tf(shared, local_shuffle_buffer_size=len(labels)),
                TF_GATHER: lambda: tf_gather(images, labels),
                RAY_PLAIN: lambda: to_tf(shared, prefetch_batches=8),
            }
            batches = -(-len(labels) // BATCH_SIZE)
            datasets: dict[str, Callable[[], tuple[tf.data.Dataset, int]]] = {
                OURS: lambda: launch_job(ours, EPOCHS[OURS]),
                **{
                    name: lambda name=name, make=make: (make(), EPOCHS[name] * batches)  # type: ignore[misc]
                    for name, make in peers.items()
                },
            }
            contestants = {
                name: rows_per_s(make, rows=len(labels), epochs=EPOCHS[name])
                for name, make in datasets.items()
            }
            contestants[NUMPY] = lambda: numpy_gather(images, labels, EPOCHS[NUMPY])
            values = take_turns(contestants, rounds)
    return report(QUESTION, values)


def as_a_worker() -> None:
    """Start this program again where malloc, which reads its settings then, wasn't told them."""
    if "MALLOC_TOP_PAD_" not in os.environ:
        apply({**TRAIN_SETTINGS, "TF_CPP_MIN_LOG_LEVEL": "3"})
        os.execv(sys.executable, [sys.executable, *sys.argv])


def rows_per_s(
    make: Callable[[], tuple[tf.data.Dataset, int]], *, rows: int, epochs: int
) -> Callable[[], float]:
    """Return a contestant that drains a dataset for some epochs.

    Args:
        make: Makes the dataset, and says how many elements its epochs have.
        rows: Rows of an epoch.
        epochs: The epochs.
    """
    import tensorflow as tf

    @tf.function
    def drain(iterator: Any, elements: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        seen, touched = tf.constant(0), tf.constant(0)
        for _ in tf.range(elements):
            images, labels = next(iterator)
            for first in tf.range(0, tf.shape(labels)[0], BATCH_SIZE):
                x, y = images[first : first + BATCH_SIZE], labels[first : first + BATCH_SIZE]
                touched += tf.cast(x[0, 14, 14], tf.int32)
                seen += tf.shape(y)[0]
        return seen, touched

    def measure() -> float:
        dataset, elements = make()
        # A peer's dataset is one epoch; ours already is the epochs of a plan.
        if dataset.cardinality() != tf.data.INFINITE_CARDINALITY:
            dataset = dataset.repeat(epochs)
        iterator = iter(dataset)
        first, _ = drain(iterator, tf.constant(1))
        keep_freed_memory()
        began = time.perf_counter()
        seen, _ = drain(iterator, tf.constant(elements - 1))
        rest = int(seen)
        seconds = time.perf_counter() - began
        assert rest + int(first) == epochs * rows, (rest, first)
        return rest / seconds

    return measure


def numpy_gather(images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any], epochs: int) -> float:
    """Return the rows/s of gathering each batch of a permutation, and nothing else."""
    import numpy as np

    random = np.random.default_rng(0)
    touched, seen, seconds = 0, 0, 0.0
    for _ in range(epochs):
        order = random.permutation(len(labels))
        began = time.perf_counter()
        for first in range(0, len(order), BATCH_SIZE):
            picked = order[first : first + BATCH_SIZE]
            x, y = images.take(picked, axis=0), labels.take(picked)
            touched += int(x[0, 14, 14])
            seen += len(y)
        seconds += time.perf_counter() - began
    assert seen == epochs * len(labels), touched
    return seen / seconds


def arrays(source: Source) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the training rows: images (60000, 28, 28) uint8 and labels (60000,) int64."""
    import numpy as np

    batches = list(source.splits["train"].read())
    images, labels = (np.concatenate([b[name] for b in batches]) for name in ("image", "label"))
    return images, labels


def launch_job(prepared: PreparedDataset, epochs: int) -> tuple[tf.data.Dataset, int]:
    plan = TrainingPlan(
        rows=prepared.manifest.rows("train"),
        streams=prepared.manifest.streams,
        workers=1,
        batch_size=BATCH_SIZE,
        epochs=epochs,
    )
    reader = StepReader(
        shards=StoredShards(prepared.folder, prepared.manifest), plan=plan, worker=0, seed=0
    )
    calls = CallPlan(plan=plan, worker=0)
    return call_dataset(reader, calls), calls.total


def tf_data(images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> tf.data.Dataset:
    import tensorflow as tf

    rows = tf.data.Dataset.from_tensor_slices((images, labels))
    return rows.shuffle(len(labels)).batch(BATCH_SIZE).prefetch(tf.data.AUTOTUNE)


def tf_gather(images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> tf.data.Dataset:
    import tensorflow as tf

    x, y = tf.constant(images), tf.constant(labels)
    numbers = tf.data.Dataset.range(len(labels)).shuffle(len(labels)).batch(BATCH_SIZE)
    batches = numbers.map(lambda n: (tf.gather(x, n), tf.gather(y, n)), tf.data.AUTOTUNE)
    return batches.prefetch(tf.data.AUTOTUNE)


def to_tf(shared: Any, **options: int) -> tf.data.Dataset:
    import tensorflow as tf

    return shared.to_tf(
        "image",
        "label",
        batch_size=BATCH_SIZE,
        feature_type_spec=tf.TensorSpec((None, 28, 28), tf.uint8, name="image"),
        label_type_spec=tf.TensorSpec((None,), tf.int64, name="label"),
        **options,
    )


@contextmanager
def ray_dataset(
    images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any], folder: Path
) -> Iterator[Any]:
    """Start a Ray of our own and put the rows into its object store."""
    # Its token is not the user's.
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(folder / "token")
    ensure_token()
    import pyarrow as pa
    import ray

    ray.init(
        address="local",
        include_dashboard=False,
        object_store_memory=512 * 2**20,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        column = pa.FixedShapeTensorArray.from_numpy_ndarray(images)
        table = pa.table({"image": column, "label": labels})
        yield ray.data.from_arrow(table).materialize()
    finally:
        ray.shutdown()


if __name__ == "__main__":
    raise SystemExit(main())
