"""Layers compute in 16 bits where that is asked for; weights stay float32, and training works."""

import json
from pathlib import Path

import numpy as np
import pytest
from group import run_group

from orchestrator.data.prepare import prepare
from orchestrator.data.source import Column, Source, in_memory
from orchestrator.storage.storage import Storage

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
DTYPES = {"float32": "float32", "mixed_bfloat16": "bfloat16", "mixed_float16": "float16"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tensorflow_processes):
    """What each of two ranks reports of each precision, with XLA and without."""
    folder = tmp_path_factory.mktemp("precision")
    x = np.random.default_rng(0).normal(size=(160, 4)).astype(np.float32)
    rows = {"x": x, "label": (x.sum(axis=1) > 0).astype(np.int64)}
    source = Source(
        features=(Column(name="x", dtype="float32", shape=(4,)),),
        label=Column(name="label", dtype="int64"),
        classes=("a", "b"),
        splits={"train": in_memory(rows), "test": in_memory(rows)},
        digest="precision",
        origin="random",
    )
    store = Storage(path=folder / "store")
    dataset = prepare("precision", source, streams=4, storage=store).folder
    worker, logs = HERE / "precision_worker.py", folder / "logs"
    run_group(worker, 2, [str(dataset), str(folder)], logs, fork=tensorflow_processes)
    return [json.loads((folder / f"precision-{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("precision", DTYPES)
def test_each_precision_trains(trained, precision, jit):
    first, second = (ranks[f"{precision} {jit}"] for ranks in trained)
    assert first["computed_in"] == DTYPES[precision]
    assert first["weights"] == ["float32"]
    assert first["loss"][-1] < first["loss"][0]
    assert first["sum"] == second["sum"]
    scales = first["optimizer"] == "LossScaleOptimizer"
    assert scales == (precision == "mixed_float16")
