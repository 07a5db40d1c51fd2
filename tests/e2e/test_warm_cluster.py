"""A cluster that is kept: runs find it, share it, may be killed on it, and leave nothing there."""

import json
import re
import signal
import subprocess
import sys
import tempfile
import time

import pytest
from processes import left_running, listening_beyond_loopback

pytestmark = pytest.mark.slow


@pytest.fixture
def at_home(launch_job, monkeypatch):
    """The command, in whose temporary folder nobody else keeps a cluster."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield launch_job
        launch_job("cluster", "stop", "--now")


def begun(command, *args):
    """Start a run that goes on for long; return its process once it has trained an epoch."""
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator", "lstm-mnist", "--epochs", "1000", *args],
        cwd=command.folder,
        env={**command.environment, "OF_THE_RUN": "yes"},
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not any('"epoch"' in log.read_text() for log in command.storage.rglob("events.jsonl")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return process


def test_runs_share_it_and_one_that_is_killed_hurts_nobody(at_home):
    small = ("--dataset", "digits", "--workers", "1")
    at_home("cluster", "start", "--idle", "1h")
    assert "was up already" in at_home("cluster", "start").stderr
    assert listening_beyond_loopback(at_home) == set()
    killed = begun(at_home, *small)
    try:
        # Another one beside it, in its own Ray job.
        done = at_home("lstm-mnist", *small, "--epochs", "1", "-o", "json")
        assert "on the warm cluster of this machine" in done.stderr
        report = json.loads(done.stdout)
        assert report["state"] == "SUCCEEDED"
        logs = at_home.run_folder(report) / "logs" / "ray"
        assert {re.search(r"-(\w{8})-\d+\.", f.name)[1] for f in logs.iterdir()} == {"03000000"}
        assert "A run is on the warm cluster" in at_home("cluster", "stop", code=2).stderr
    finally:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    again = at_home.report("lstm-mnist", *small, "--epochs", "1")
    # What is computed doesn't depend on where, nor on who was there before.
    same = ("accuracy", "loss", "confusion_matrix", "steps")
    assert [again[key] for key in same] == [report[key] for key in same]
    # No run has imported TensorFlow or started Ray.
    assert not {"import of TensorFlow", "start of Ray"} & {p["phase"] for p in again["timeline"]}
    # The killed one is LOST, and goes on there.
    lost = json.loads(at_home("ls", "-o", "json").stdout)[-1]
    assert lost["state"] == "LOST"
    at_home("cluster", "stop")
    assert left_running(at_home) == []
    assert "There is no warm cluster" in at_home("cluster", "stop").stderr


def test_it_ends_by_itself_when_no_run_comes(at_home):
    at_home("cluster", "start", "--idle", "2s")
    assert left_running(at_home) == []
    assert "There is no warm cluster" in at_home("cluster", "stop").stderr
