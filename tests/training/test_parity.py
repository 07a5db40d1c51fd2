"""Contract 1 and 2: any number of workers makes the update that plain Keras makes alone."""

from pathlib import Path

import numpy as np
import pytest
from group import run_group
from parity_models import BATCH, EPOCHS

from orchestrator.data.prepare import prepare
from orchestrator.data.source import Column, Source, in_memory
from orchestrator.storage.storage import Storage

HERE = Path(__file__).parent

#: One row more than whole batches: in the last step all workers but one hold no row.
ROWS = 12 * BATCH + 1
#: Neither 3 nor 4 workers share these streams evenly.
STREAMS = 10
WORKERS = (1, 2, 3, 4)
MODELS = (
    "lstm-adam-xla",
    "lstm-one-hot",
    "dense-adam",
    "dense-sgd-clipped",
    "lstm-mnist",
    "cnn-mnist",
    "custom-lstm-mnist",
    "lstm-sequence",
    "mlp-table",
)
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tensorflow_processes):
    """Weights after two epochs: of plain Keras, and of each rank of each group."""
    folder = tmp_path_factory.mktemp("parity")
    store = Storage(path=folder / "store")
    (folder / "arrays").symlink_to(_prepared(store, *_arrays()))
    (folder / "table").symlink_to(_prepared(store, *_table()))
    args = [str(folder), str(folder)]
    run_group(HERE / "parity_reference.py", 1, args, folder / "logs", fork=tensorflow_processes)
    for workers in WORKERS:
        logs = folder / f"logs-{workers}"
        run_group(HERE / "parity_worker.py", workers, args, logs, fork=tensorflow_processes)
    return folder


def _arrays():
    random = np.random.default_rng(0)
    x = random.normal(size=(ROWS, 6, 5)).astype(np.float32)
    rows = {"x": x, "label": random.integers(0, 3, ROWS)}
    return rows, [Column(name="x", dtype="float32", shape=(6, 5))]


def _table():
    random = np.random.default_rng(0)
    number = random.normal(50, 9, ROWS).astype(np.float32)
    number[::7] = np.nan
    word = random.choice(np.array(["", "a", "bc", "def"], "S3"), ROWS)
    rows = {"number": number, "word": word, "label": random.integers(0, 3, ROWS)}
    return rows, [Column(name="number", dtype="float32"), Column(name="word", dtype="S3")]


def _prepared(storage, rows, features):
    source = Source(
        features=tuple(features),
        label=Column(name="label", dtype="int64"),
        classes=("a", "b", "c"),
        splits={"train": in_memory(rows), "test": in_memory(rows)},
        digest="parity",
        origin="random",
    )
    return prepare("parity", source, streams=STREAMS, storage=storage).folder


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("model", MODELS)
def test_update_is_that_of_plain_keras(trained, model, workers):
    reference = np.load(trained / "reference.npz")
    mine = np.load(trained / f"weights-{workers}-0.npz")
    index = 0
    while f"{model}.{index}" in reference:
        first = reference[f"{model}.first.{index}"]
        wanted = reference[f"{model}.{index}"] - first
        difference = mine[f"{model}.{index}"] - first - wanted
        assert np.linalg.norm(difference) <= TOLERANCE * np.linalg.norm(wanted), index
        index += 1
    assert index >= 4
    assert mine[f"{model}.iterations"] == EPOCHS * -(-ROWS // BATCH)


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("model", MODELS)
def test_metrics_are_those_of_plain_keras(trained, model, workers):
    reference = np.load(trained / "reference.npz")
    mine = np.load(trained / f"weights-{workers}-0.npz")
    np.testing.assert_allclose(mine[f"{model}.loss"], reference[f"{model}.loss"], rtol=1e-5)
    np.testing.assert_allclose(mine[f"{model}.accuracy"], reference[f"{model}.accuracy"], rtol=1e-6)


@pytest.mark.parametrize("workers", WORKERS)
def test_one_worker_compiles_a_step_for_all(trained, workers):
    files = [path.name for path in (trained / f"flight-lstm-adam-xla-{workers}").iterdir()]
    begun = {name.removesuffix(".begun") for name in files if name.endswith(".begun")}
    done = {name.removesuffix(".done") for name in files if name.endswith(".done")}
    assert len(begun) > 1  # The last step has fewer rows.
    assert begun == done
    assert not (trained / f"flight-dense-adam-{workers}").exists()


@pytest.mark.parametrize("workers", WORKERS)
def test_all_ranks_hold_the_same_weights(trained, workers):
    first = np.load(trained / f"weights-{workers}-0.npz")
    for rank in range(1, workers):
        other = np.load(trained / f"weights-{workers}-{rank}.npz")
        for name in first.files:
            np.testing.assert_array_equal(first[name], other[name], err_msg=name)
