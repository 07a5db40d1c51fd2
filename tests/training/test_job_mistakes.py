"""A mistake in code that Keras calls is told with the file and the line of the job."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from group import run_group

from orchestrator.data.prepare import prepare
from orchestrator.data.source import Column, Source, in_memory
from orchestrator.storage.run_folder import RunFolder
from orchestrator.storage.storage import Storage
from orchestrator.training.failure import Failure

HERE = Path(__file__).parent
JOB = (HERE / "mistaken_job.py").read_text()

#: Where it is raised, its kind, and a part of its message.
MISTAKES = {
    "train_step": ("ValueError", "can't train on 2 parts"),
    "callback": ("KeyError", "'speed'"),
    "metric": ("AttributeError", "no attribute 'nothing'"),
    "layer": ("ValueError", "when calling Layer.call(). "),
    "graph": ("InvalidArgumentError", "labels are odd"),
}

#: A job of a project, and one of an installed package.
PLACES = ("project/jobs", "lib/site-packages")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def failed(tmp_path_factory, tensorflow_processes):
    """The folder of what each mistake in each place left."""
    folder = tmp_path_factory.mktemp("mistakes")
    rows = {"x": np.zeros((32, 4), np.float32), "label": np.arange(32) % 3}
    source = Source(
        features=(Column(name="x", dtype="float32", shape=(4,)),),
        label=Column(name="label", dtype="int64"),
        classes=("a", "b", "c"),
        splits={"train": in_memory(rows), "test": in_memory(rows)},
        digest="noise",
        origin="nothing",
    )
    prepared = prepare("noise", source, streams=4, storage=Storage(path=folder / "store"))
    for place in PLACES:
        job = folder / place / "mistaken.py"
        job.parent.mkdir(parents=True)
        shutil.copy(HERE / "mistaken_job.py", job)
        args = [prepared.folder, job, folder / place, *MISTAKES, "stop"]
        run_group(
            HERE / "mistaken_worker.py",
            1,
            [str(arg) for arg in args],
            folder / "logs",
            fork=tensorflow_processes,
        )
    return folder


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("how", MISTAKES)
def test_mistake_names_file_and_line(failed, place, how):
    failure = Failure.read(RunFolder(path=failed / place / how).attempt(1).failure(0))
    kind, message = MISTAKES[how]
    assert failure.kind == kind
    assert message in failure.message
    assert not failure.message.startswith(kind)
    line = 1 + JOB[: JOB.index(f"# in {how}\n")].count("\n")
    frame = f'File "{failed / place / "mistaken.py"}", line {line}, in '
    assert any(told.startswith(frame) for told in failure.lines), failure.lines
    assert "in user code" not in "".join(failure.lines)


def test_a_callback_that_stops_within_an_epoch_is_told_where_to_stop(failed):
    failure = Failure.read(RunFolder(path=failed / PLACES[0] / "stop").attempt(1).failure(0))
    assert "ended training in the middle of epoch 1, after step 16 of 32" in failure.message
    assert "on_epoch_end" in failure.hint
