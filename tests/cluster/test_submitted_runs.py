"""Runs on a real cluster that has room for one: submitted, left, waited for, stopped, resumed."""

import contextlib
import hashlib
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from local_cluster import LocalCluster

from orchestrator.storage.storage import Storage

pytestmark = pytest.mark.slow

SECRET = "a-value-that-nobody-may-see"

#: It ends its first epoch only when a file is there, and fails without its secret.
JOB = """
import hashlib
import os
import time
from pathlib import Path

from orchestrator import Training, job


@job(dataset="digits", epochs=2, batch_size=64)
def gated(gate: str = "", digest: str = ""):
    import keras

    if digest:
        assert hashlib.sha256(os.environ["SESAME"].encode()).hexdigest() == digest

    class Gate(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            while not Path(gate).exists():
                time.sleep(0.05)

    layers = [keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
    return Training(model=keras.Sequential([keras.Input((28, 28)), *layers]), callbacks=[Gate()])
"""


class Client:
    """A machine that reaches the cluster's dashboard and the storage."""

    def __init__(self, cluster, folder):
        self.cluster, self.folder = cluster, folder
        self.storage = Storage.at(str(folder / "store"))
        (folder / "cluster.yaml").touch()
        (folder / "jobs").mkdir()
        (folder / "jobs" / "gated.py").write_text(JOB)
        (folder / ".gitignore").write_text("store\n*.log\n")
        self.open, self.closed = folder / "store" / "open", folder / "store" / "gate"
        self.open.parent.mkdir()
        self.open.touch()

    def start(self, *arguments, **environment):
        named = {"LAUNCH_JOB_STORAGE": str(self.storage.path), "RAY_ADDRESS": self.cluster.url}
        return subprocess.Popen(
            [sys.executable, "-m", "orchestrator", *map(str, arguments)],
            cwd=self.folder,
            env=self.cluster.environment(**named, **environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Tests that are run in the background ignore it, and so would this process.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def run(self, *arguments, code=0, **environment):
        with self.start(*arguments, **environment) as process:
            printed, said = process.communicate(timeout=180)
        assert process.returncode == code, said
        return printed, said

    def json(self, *arguments):
        return json.loads(self.run(*arguments, "-o", "json")[0])

    def detach(self, *arguments, **environment):
        asked = ["gated", "--gpus", 0, *arguments]
        printed, _ = self.run(*asked, "-d", "-o", "json", **environment)
        return json.loads(printed)["run_id"]

    def state(self, run_id):
        return self.json("status", run_id)["state"]


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def client(cluster, tmp_path_factory):
    return Client(cluster, tmp_path_factory.mktemp("client"))


def until(look, *, within=60):
    """Look again and again until there is something to see."""
    end = time.monotonic() + within
    while not (seen := look()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.2)
    return seen


@pytest.fixture(scope="module")
def first(client):
    """A run that holds all CPUs until the gate opens, and that its user has left with Ctrl-C."""
    digest = hashlib.sha256(SECRET.encode()).hexdigest()
    asked = ["--workers", 2, "--gate", client.closed, "--digest", digest, "--secret", "SESAME"]
    asked += ["--name", "first", "--tag", "blue", "--gpus", 0]
    with client.start("gated", *asked, SESAME=SECRET) as process:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if line.startswith("Starting workers"):
                break
        assert client.storage.run_ids(), "".join(lines)
        (run_id,) = client.storage.run_ids()
        events = client.storage.run(run_id).events
        until(lambda: '"first_step"' in events.read_text())
        process.send_signal(signal.SIGINT)
        said = "".join(lines) + process.stderr.read()
    assert process.returncode == 130
    return run_id, said


def test_ctrl_c_leaves_the_run_alone(client, first):
    run_id, said = first
    assert "Sent 3 files, " in said
    assert f"Run {run_id} goes on without you." in said
    assert f"launch-job status -f {run_id}" in said
    assert client.state(run_id) == "RUNNING"
    _, said = client.run("rm", "-y", run_id, code=2)
    assert "is RUNNING" in said


def test_dashboard_knows_the_run(cluster, first):
    run_id, _ = first
    (job,) = cluster.get("/api/jobs/")
    assert job["submission_id"] == run_id
    shown = {key: job["metadata"][key] for key in ("job_name", "job", "tags", "launch_job_run")}
    assert shown == {"job_name": "first", "job": "gated", "tags": "blue", "launch_job_run": run_id}
    runs = cluster.get("/api/train/v2/runs/v1")["train_runs"]
    assert [run["name"] for run in runs] == [run_id]


def test_ranks_export_metrics(cluster, first):
    run_id, _ = first
    labels = [f'run="{run_id}"', 'job="gated"']
    for rank in ("0", "1"):
        wanted = [*labels, f'rank="{rank}"']
        until(
            lambda wanted=wanted: any(
                line.startswith("ray_launch_job_loss{") and all(part in line for part in wanted)
                for line in cluster.metrics().splitlines()
            )
        )


def test_secret_is_seen_by_the_run_alone(cluster, client, first):
    run = client.storage.run(first[0])
    assert run.secrets.stat().st_mode & 0o777 == 0o600
    places = [path for path in run.path.rglob("*") if path.is_file() and path != run.secrets]
    places += [path for path in cluster.folder.rglob("*") if path.is_file()]
    for path in places:
        # Some files of Ray's come and go.
        with contextlib.suppress(FileNotFoundError):
            assert SECRET.encode() not in path.read_bytes(), path
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert SECRET.encode() not in process.read_bytes()
        except OSError:
            continue
    assert SECRET not in json.dumps(cluster.get("/api/jobs/"))


def test_second_run_waits_as_a_whole_and_says_for_whom(client, first):
    first_id, _ = first
    second_id = client.detach("--workers", 2, "--gate", client.open)
    live = until(lambda: client.json("status", second_id)["live"]["waiting"])
    assert live.startswith("2 workers need 2 CPUs; 0 of 2 are free.")
    assert f"job {first_id}: 2 CPUs" in live
    assert client.json("status", second_id)["live"]["job_status"] == "RUNNING"
    stopped = client.detach("--gate", client.open)
    client.run("stop", stopped)
    assert client.state(stopped) == "STOPPED"
    client.closed.touch()
    for run_id in (first_id, second_id):
        printed, _ = client.run("status", "-f", run_id)
        assert "of 360 test rows right" in printed
    assert not client.storage.run(first_id).secrets.exists()
    # A job that Ray let begin after its stop has found that it isn't wanted.
    assert client.state(stopped) == "STOPPED"
    printed, _ = client.run("resume", stopped)
    assert "of 360 test rows right" in printed
    submitted = json.loads(client.storage.run(stopped).submission.read_text())
    assert submitted["job_id"] == f"{stopped}.2"


def test_workers_are_put_where_the_gpus_are_and_say_what_they_see(client, first):
    _, said = client.run("gated", "--gpus", 1, "--workers", 2, "--gate", client.open, code=1)
    assert re.search(r"TensorFlow sees no GPU on \S+; Ray gave this worker GPU [01]\.", said), said
    _, said = client.run("gated", "--gpus", 1, "--workers", 3, "--gate", client.open, code=2)
    assert "3 workers need 3 GPUs; there are 2." in said


def test_logs_outlive_the_job(client, first):
    run_id, _ = first
    printed, _ = client.run("logs", run_id, "--rank", "1", "--tail", "1")
    assert len(printed.splitlines()) == 1
    printed, _ = client.run("logs", run_id, "--since", "1s")
    assert all(line.startswith(("driver: ", "rank-")) for line in printed.splitlines())
    assert "Epoch 2/2" in client.run("logs", run_id, "--rank", "driver")[0]
    _, said = client.run("logs", run_id, "--rank", "7", code=2)
    assert "driver, rank-0000, rank-0001" in said


def test_removed_run_stays_away(client, first):
    run_id, _ = first
    client.run("rm", "-y", run_id)
    assert run_id not in [run["run_id"] for run in client.json("ls")]
    assert run_id in [row["run_id"] for row in client.json("results")]


def test_failure_before_the_driver_begins_is_the_follower_s_too(client):
    _, said = client.run("gated", "--gate", client.open, "--dataset", "gone.csv", code=2)
    assert "gone.csv" in said
    assert client.json("ls")[0]["state"] == "FAILED"


def test_storage_that_the_head_does_not_see_is_named(client):
    # A path that is another folder for each process.
    unseen = "/proc/self/cwd/unseen"
    _, said = client.run("gated", "--gate", client.open, "--storage", unseen, code=3)
    assert f"in {unseen}: it does not share that storage" in said
    assert client.json("ls", "--storage", unseen)[0]["state"] == "FAILED"


@pytest.mark.parametrize("token", ["", "wrong" * 8])
def test_client_without_the_right_token_is_refused(client, token, tmp_path):
    file = tmp_path / "token"
    file.write_text(token)
    _, said = client.run("gated", "--gate", "x", code=3, RAY_AUTH_TOKEN_PATH=str(file))
    assert "token" in said
    assert "RAY_AUTH_TOKEN_PATH" in said


def test_project_that_is_too_large_is_not_sent(client):
    large = client.folder / "large.bin"
    with large.open("wb") as file:
        file.truncate(2_000_000_000)
    try:
        before = client.storage.run_ids()
        _, said = client.run("gated", "--gate", "x", code=2)
        assert "large.bin (2.0 GB)" in said
        assert ".gitignore" in said
        assert client.storage.run_ids() == before
    finally:
        large.unlink()
