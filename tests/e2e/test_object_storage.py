"""A storage of objects: a run trained on one machine is seen, and goes on, on another."""

import dataclasses
import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from processes import left_running
from real_command import Command

from orchestrator.storage.objects import Objects

pytestmark = pytest.mark.slow

TRAIN = (
    *("lstm-mnist", "--dataset", "digits", "--epochs", 20, "--workers", 2),
    *("--checkpoint-every", 4),
)


@dataclasses.dataclass
class Machine(Command):
    """A machine of its own: nothing is there but the address of the storage."""

    address: str
    #: What the environment says of the server and of its keys.
    server: dict

    @property
    def storage(self):
        return self.address

    @property
    def environment(self):
        return {**super().environment, **self.server}


def two_machines(folder, bucket, server):
    for name in ("here", "there"):
        (folder / name / "home").mkdir(parents=True)
        yield Machine(folder / name, f"{bucket}/team", server)


def weights(machine, run_id, tmp_path):
    """The arrays of a run's last checkpoint, as it is published."""
    checkpoints = Objects.at(machine.address).within("runs", run_id, "checkpoints")
    newest = sorted({name.partition("/")[0] for name in checkpoints.states()})[-1]
    checkpoints.download(f"{newest}/arrays.npz", tmp_path / f"{run_id}.npz")
    with np.load(tmp_path / f"{run_id}.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


def test_a_run_that_is_stopped_here_goes_on_there_with_the_same_weights(
    s3_bucket, s3_environment, tmp_path
):
    here, there = two_machines(tmp_path, s3_bucket, s3_environment)
    whole = here.report(*TRAIN)
    (listed,) = json.loads(there("ls", "-o", "json").stdout)
    assert (listed["run_id"], listed["state"]) == (whole["run_id"], "SUCCEEDED")
    assert there.report("report", "latest")["accuracy"] == whole["accuracy"]
    (row,) = json.loads(there("results", "-o", "json").stdout)
    assert row["run_id"] == whole["run_id"]

    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator", *map(str, TRAIN)],
        cwd=here.folder,
        env=here.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        for line in process.stderr:
            if line.startswith("Epoch 1/20"):
                break
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=120)
    assert process.returncode == 130, rest
    stopped = there.report("report", "latest")
    assert (stopped["state"], stopped["run_id"] == whole["run_id"]) == ("STOPPED", False)
    resumed = there.report("resume", "latest")
    assert resumed["run_id"] == stopped["run_id"]
    assert (resumed["state"], resumed["steps"]) == ("SUCCEEDED", whole["steps"])
    assert resumed["confusion_matrix"] == whole["confusion_matrix"]
    expected, got = (weights(here, r["run_id"], tmp_path) for r in (whole, resumed))
    assert expected.keys() == got.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(got[name], values, err_msg=name)
    states = {r["run_id"]: r["state"] for r in json.loads(here("ls", "-o", "json").stdout)}
    assert states == {r["run_id"]: "SUCCEEDED" for r in (whole, resumed)}
    for machine in (here, there):
        written = [p for p in machine.folder.rglob("*") if p.is_file()]
        assert not [p for p in written if secret(s3_environment) in p.read_bytes()]
        assert left_running(machine) == []


def secret(environment):
    return environment["AWS_SECRET_ACCESS_KEY"].encode()


def test_a_run_on_googles_storage_is_seen_and_reproduced_elsewhere(
    google_bucket, google_environment, tmp_path
):
    here, there = two_machines(tmp_path, google_bucket, google_environment)
    whole = here.report(*TRAIN, "--epochs", 2)
    (listed,) = json.loads(there("ls", "-o", "json").stdout)
    assert (listed["run_id"], listed["state"]) == (whole["run_id"], "SUCCEEDED")
    (row,) = json.loads(there("results", "-o", "json").stdout)
    assert (row["run_id"], row["accuracy"]) == (whole["run_id"], whole["accuracy"])
    again = json.loads(there("reproduce", "latest", "-o", "json").stdout)
    assert again["outcome"] == "bitwise"
    assert left_running(here) == left_running(there) == []
