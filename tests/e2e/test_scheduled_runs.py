"""A loop that is killed, with what it has started, and started again: each tick once."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

TIMEOUT_S = 300


class LoopProcess:
    """`launch-job schedule start`, and what its log says."""

    def __init__(self, launch_job):
        self.log = launch_job.folder / "loop.jsonl"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "orchestrator", "schedule", "start"],
                cwd=launch_job.folder,
                env=launch_job.environment,
                stdout=log,
            )

    def await_fired(self):
        """Return the first fired tick that the log tells of."""
        return await_result(
            lambda: next((one for one in self._lines() if one.get("outcome") == "fired"), None)
        )

    def _lines(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def kill_with_keepers(self):
        """Kill the loop, and the processes it has started to look after runs."""
        self.process.kill()
        self.process.wait()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                mine = str(self.log.parent).encode() in (folder / "environ").read_bytes()
            except OSError:
                continue
            if mine and b"keep" in words:
                os.kill(int(folder.name), signal.SIGKILL)

    def stop(self):
        self.process.terminate()
        return self.process.wait(timeout=30)


def await_result(look):
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.2)
    raise AssertionError("it did not happen in time")


@pytest.fixture
def start_loop(launch_job):
    """Start a loop; what is left of those that were started is ended after the test."""
    loops = []

    def start():
        loops.append(LoopProcess(launch_job))
        return loops[-1]

    yield start
    for loop in loops:
        loop.process.kill()
        loop.process.wait()


@pytest.mark.slow
def test_a_loop_that_is_killed_and_started_again_gives_each_tick_one_outcome_and_one_run(
    launch_job, start_loop
):
    launch_job("schedule", "add", "often", "lstm-mnist", "--every", "5s", "--dataset", "digits",
               "--epochs", "1", "--notify", f"cat >> {launch_job.folder}/told.json")  # fmt: skip

    def show():
        return json.loads(launch_job("schedule", "show", "often", "-o", "json").stdout)

    first = start_loop()
    fired = first.await_fired()
    first.kill_with_keepers()

    # Two at once from here on, as on two machines.
    loops = [start_loop() for _ in range(2)]
    told = launch_job.folder / "told.json"
    await_result(lambda: told.is_file() and told.read_text())
    launch_job("schedule", "pause", "often")
    await_result(lambda: all(one["state"] in (None, "SUCCEEDED") for one in show()["history"]))
    assert [loop.stop() for loop in loops] == [0, 0]

    shown = show()
    history = [one for one in shown["history"] if not one["why"].startswith("paused")]
    ticks = [datetime.fromisoformat(one["tick"]) for one in reversed(history)]
    since = datetime.fromisoformat(shown["since"])
    assert ticks == [since + timedelta(seconds=5) * k for k in range(1, len(ticks) + 1)]
    assert {one["outcome"] for one in history} <= {"fired", "skipped", "missed"}
    runs = [one["run_id"] for one in history if one["outcome"] == "fired"]
    assert runs[-1] == fired["run_id"]
    listed = json.loads(launch_job("ls", "-o", "json").stdout)
    assert sorted(run["run_id"] for run in listed) == sorted(runs)

    spec = json.loads((launch_job.storage / "runs" / runs[-1] / "spec.json").read_text())["spec"]
    assert spec["tags"] == ["schedule=often", f"tick={fired['tick']}"]
    report = json.loads(launch_job("report", runs[-1], "-o", "json").stdout)
    assert report["state"] == "SUCCEEDED"
    message = json.loads(told.read_text().partition("}")[0] + "}")
    assert (message["run_id"], message["state"]) == (runs[-1], "SUCCEEDED")
