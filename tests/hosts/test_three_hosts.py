"""One run over three hosts, while power and network fail: it ends as if nothing had happened."""

import io
import json
import zipfile

import h5py
import numpy as np
import pytest

pytestmark = pytest.mark.slow

#: Smooth and without dropout, so that two numbers of workers differ by rounding alone; and slow
#: enough that something can happen to its hosts meanwhile.
JOB = """
import time

from orchestrator import Training, job


@job(dataset="digits", epochs=40, batch_size=48)
def paced():
    import keras

    class Pace(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            time.sleep(0.5)

    layers = [
        keras.layers.Rescaling(1 / 255),
        keras.layers.Flatten(),
        keras.layers.Dense(16, activation="tanh"),
        keras.layers.Dense(10, activation="softmax"),
    ]
    model = keras.Sequential([keras.Input((28, 28)), *layers])
    model.compile(
        keras.optimizers.SGD(0.02, momentum=0.9),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Training(model=model, callbacks=[Pace()])
"""
EPOCHS = 40


@pytest.fixture(scope="module")
def three(cluster):
    """A head and two nodes, with a CPU each: three workers are one on each."""
    (cluster.project / "jobs" / "paced.py").write_text(JOB)
    for _ in range(3):
        cluster.add()
    return cluster


def start(cluster, *more, workers="3", name):
    asked = ["paced", "--workers", workers, "--address", cluster.address, "--name", name]
    return cluster.launch_job(*asked, "-o", "json", *more)


def finish(going):
    printed, said = going.end(0)
    report = json.loads(printed)
    assert report["state"] == "SUCCEEDED", said
    assert [epoch["epoch"] for epoch in report["history"]] == list(range(1, EPOCHS + 1))
    return report


def weights_of(cluster, report):
    model = cluster.storage / "runs" / report["run_id"] / "model.keras"
    with zipfile.ZipFile(model) as archive:
        return archive.read("model.weights.h5")


def arrays_of(weights):
    found = {}
    with h5py.File(io.BytesIO(weights)) as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return found


@pytest.fixture(scope="module")
def undisturbed(three):
    report = finish(start(three, name="undisturbed"))
    assert report["restarts"] == []
    return weights_of(three, report)


def test_host_whose_power_is_pulled_is_replaced(three, undisturbed):
    going = start(three, name="power")
    going.await_line("Epoch 5/")
    gone = three.nodes.pop()
    gone.pull_power()
    # The worker that is left on another host may take a moment to end.
    waiting = going.await_line("2 of 2 are free")
    assert "Waiting: 3 workers need 3 CPUs; 2 of 2 are free. Until nodes join" in waiting
    three.add()
    report = finish(going)
    assert weights_of(three, report) == undisturbed
    assert [restart["counts"] for restart in report["restarts"]] == [True]


def test_network_that_is_cut_and_healed_costs_only_workers(three, undisturbed):
    going = start(three, workers="2:3", name="network")
    going.await_line("Epoch 5/")
    away = three.nodes.pop()
    away.unplug()
    going.await_line("goes on from")
    going.await_line("Epoch 8/")
    away.plug()
    # Ray ends the nodes that it has given up.
    three.start_node(away)
    going.await_line("There is room for more workers.")
    report = finish(going)
    assert [r["workers"] for r in report["restarts"]] == [3, 2]
    assert report["restarts"][1]["cause"] == "resized"
    expected, found = arrays_of(undisturbed), arrays_of(weights_of(three, report))
    assert found.keys() == expected.keys()
    scale = max(np.abs(array).max() for array in expected.values())
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-5 * scale)


def test_head_that_is_gone_with_its_run_is_replaced(three, undisturbed):
    going = start(three, name="head")
    going.await_line("Epoch 5/")
    gone, *others = three.nodes
    gone.pull_power()
    going.drop()
    for host in others:
        three.take_down(host)
    three.nodes.clear()
    three.start_node(others[0], cpus=2)
    three.start_node(others[1], cpus=1)
    runs = json.loads(three.launch_job("ls", "-o", "json").end(0)[0])
    (run,) = [run for run in runs if run["name"] == "head"]
    assert run["state"] == "LOST"
    asked = ["resume", run["run_id"], "--address", three.address]
    report = finish(three.launch_job(*asked, "-o", "json"))
    assert weights_of(three, report) == undisturbed
    rows = json.loads(three.launch_job("results", "-o", "json").end(0)[0])
    assert [row["run_id"] for row in rows].count(run["run_id"]) == 1
