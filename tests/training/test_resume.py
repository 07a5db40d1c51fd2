"""Contract 4: training that goes on from a checkpoint ends as if it had never stopped."""

from pathlib import Path

import numpy as np
import pytest
from group import run_group
from resume_models import BATCH, EPOCHS, EVERY

from orchestrator.data.prepare import prepare
from orchestrator.data.source import Column, Source, in_memory
from orchestrator.storage.storage import Storage

HERE = Path(__file__).parent
ROWS = 12 * BATCH + 1
STEPS = 13
#: In the middle of an epoch, at the end of one, and where early stopping has ended training.
CUTS = (
    "dropout-schedule/epoch-00000-step-0000005",
    "dropout-schedule/epoch-00002-step-0000000",
    "callbacks/epoch-00001-step-0000010",
    "callbacks/epoch-00003-step-0000000",
)
ONTO_THREE = "callbacks/epoch-00000-step-0000010"
MODELS = ("dropout-schedule", "callbacks")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tensorflow_processes):
    folder = tmp_path_factory.mktemp("resume")
    dataset = _dataset(Storage(path=folder / "store"))
    whole = [f"{model}/whole" for model in MODELS]
    for workers, cases in ((2, (*whole, *CUTS)), (3, (ONTO_THREE,))):
        args = [str(dataset), str(folder), *cases]
        logs = folder / f"logs-{workers}"
        run_group(HERE / "resume_worker.py", workers, args, logs, fork=tensorflow_processes)
    return folder


def _dataset(storage):
    random = np.random.default_rng(0)
    rows = {
        "x": random.normal(size=(ROWS, 6, 5)).astype(np.float32),
        "label": random.integers(0, 3, ROWS),
    }
    source = Source(
        features=(Column(name="x", dtype="float32", shape=(6, 5)),),
        label=Column(name="label", dtype="int64"),
        classes=("a", "b", "c"),
        splits={"train": in_memory(rows), "test": in_memory(rows)},
        digest="resume",
        origin="random",
    )
    return prepare("resume", source, streams=10, storage=storage).folder


def results(folder, workers, case):
    held = np.load(folder / f"resumed-{workers}-0.npz")
    start = f"{case}/"
    return {name[len(start) :]: held[name] for name in held.files if name.startswith(start)}


def undisturbed(folder, case):
    return results(folder, 2, f"{case.split('/')[0]}/whole")


@pytest.mark.parametrize("case", CUTS)
def test_same_workers_end_with_the_same_bits(trained, case):
    whole, resumed = undisturbed(trained, case), results(trained, 2, case)
    assert resumed.keys() == whole.keys()
    for name, values in whole.items():
        np.testing.assert_array_equal(resumed[name], values, err_msg=name)


def test_other_workers_take_the_same_batches(trained):
    whole, resumed = undisturbed(trained, ONTO_THREE), results(trained, 3, ONTO_THREE)
    assert resumed.keys() == whole.keys()
    for name, values in whole.items():
        np.testing.assert_allclose(resumed[name], values, rtol=1e-4, atol=1e-5, err_msg=name)


def test_it_stopped_early_and_lowered_the_rate(trained):
    """Otherwise the cases above show nothing."""
    whole = results(trained, 2, "callbacks/whole")
    assert len(whole["loss"]) < EPOCHS
    assert whole["steps"] == STEPS * len(whole["loss"])
    assert whole["rate"] < 0.5


@pytest.mark.parametrize("model", MODELS)
def test_there_are_checkpoints_within_epochs(trained, model):
    names = {path.name for path in (trained / f"run-{model}" / "checkpoints").iterdir()}
    assert {f"epoch-00001-step-{step:07d}" for step in range(0, STEPS, EVERY)} <= names
