"""Runs that fall back, fail, or are asked for from Python: real Ray and TensorFlow, small data."""

import json

import numpy as np
import pytest

BAD_JOBS = """
from typing import Annotated

from orchestrator import job


@job(dataset="digits", epochs=2)
def explodes(learning_rate: Annotated[float, "Far too high."] = 1e30):
    import keras

    layers = [keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
    model = keras.Sequential([keras.Input((28, 28)), *layers])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.optimizer.learning_rate = learning_rate
    return model
"""

NO_MODEL = """
from orchestrator import job


@job(dataset="digits")
def nothing():
    return "not a model"
"""

BAD_STEP = """
from orchestrator import job


@job(dataset="digits")
def bad_step():
    import keras

    class BadStep(keras.Sequential):
        def train_step(self, data):
            raise ValueError(f"can't train on {len(data)} parts")

    layers = [keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
    return BadStep([keras.Input((28, 28)), *layers])
"""


@pytest.fixture(scope="module")
def project(warm):
    """A project with jobs that can't succeed."""
    (warm.folder / "cluster.yaml").write_text("cluster_name: test\n")
    (warm.folder / "jobs").mkdir()
    (warm.folder / "jobs" / "explodes.py").write_text(BAD_JOBS)
    (warm.folder / "jobs" / "nothing.py").write_text(NO_MODEL)
    (warm.folder / "jobs" / "bad_step.py").write_text(BAD_STEP)
    return warm


def test_offline_run_falls_back_and_says_so(project):
    asked = ("lstm-mnist", "--image-size", 32, "--labels", "one-hot", "--workers", 2)
    done = project(*asked, "--epochs", 2, "-o", "json")
    report = json.loads(done.stdout)
    assert report["dataset"] == "digits"
    assert (report["params"]["image_size"], report["params"]["labels"]) == (32, "one-hot")
    assert any("digits instead" in note for note in report["notes"])
    assert done.stderr.index("digits instead") < done.stderr.index("Starting workers")
    assert report["test_rows"] == 360
    assert [epoch["epoch"] for epoch in report["history"]] == [1, 2]


def test_learning_rate_of_an_lstm_falls_from_epoch_to_epoch(project):
    asked = ("lstm-mnist", "--dataset", "digits", "--epochs", 3, "--keep", 3)
    report = project.report(*asked, "--learning-rate", 0.004, "--decay", 0.5)
    kept = sorted((project.run_folder(report) / "checkpoints").glob("epoch-*/arrays.npz"))
    # Keras's optimizers have the rate after the number of steps.
    rates = [float(np.load(arrays)["optimizer.0001"]) for arrays in kept]
    assert rates == pytest.approx([0.004, 0.002, 0.001])


def test_lstm_sequence_learns_all_there_is_to_learn(project):
    """One label of twenty is wrong, so nobody is right more often than 95 times of 100."""
    done = project("lstm-sequence", "--workers", 2, "--epochs", 4, "-o", "json")
    report = json.loads(done.stdout)
    assert (report["dataset"], report["test_rows"]) == ("sequences", 2000)
    assert 0.93 < report["accuracy"] < 0.96


def test_loss_that_becomes_nan_fails_the_run_and_names_the_step(project):
    done = project("explodes", "--workers", 2, code=1)
    assert "epoch 1, step" in done.stderr
    runs = json.loads(project("ls", "-o", "json").stdout)
    assert (runs[0]["job"], runs[0]["state"]) == ("explodes", "FAILED")
    report = json.loads(project("report", "latest", "-o", "json").stdout)
    assert report["state"] == "FAILED"
    assert "NaN" in report["error"]["message"]
    assert report["accuracy"] is None
    assert "explodes" not in project("results").stdout


def test_job_that_returns_no_model_is_the_users_mistake(project):
    done = project("nothing", code=2)
    assert "nothing.py" in done.stderr
    assert "returned str, not a keras.Model" in done.stderr


def test_mistake_in_a_train_step_names_file_and_line(project):
    done = project("bad-step", "--workers", 2, "--retries", 0, code=1)
    line = 1 + BAD_STEP[: BAD_STEP.index("raise ValueError")].count("\n")
    assert f'jobs/bad_step.py", line {line}, in train_step' in done.stderr
    assert "failed: ValueError: can't train on 2 parts" in done.stderr
    report = json.loads(project("report", "latest", "-o", "json").stdout)
    assert "can't train on 2 parts" in report["error"]["message"]
