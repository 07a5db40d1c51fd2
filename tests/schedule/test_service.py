"""The loop as a process, with runs that can't begin: what it says, and how it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def launch_job(tmp_path):
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "LAUNCH_JOB_STORAGE": str(tmp_path / "store"),
    }

    def start(*args, **options):
        command = [sys.executable, "-m", "orchestrator", "schedule", *args]
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True, **options
        )
        started.append(process)
        return process

    started = []
    start.storage = tmp_path / "store"
    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def history(launch_job):
    out, _ = launch_job("show", "often", "-o", "json").communicate(timeout=60)
    return json.loads(out)["history"]


def await_events(process, event, number):
    """Return the first lines of a loop's log, up to a number of events of a kind."""
    said = []
    for line in process.stdout:
        said.append(json.loads(line))
        if sum(one["event"] == event for one in said) == number:
            return said
    raise AssertionError(f"the loop ended early, with {process.wait()}: {said}")


def test_a_loop_that_is_killed_and_started_again(launch_job):
    # The file is looked for by the run, not when the schedule is added.
    add = ("add", "often", "mlp-table", "--every", "1s", "--retries", "0", "--dataset", "gone.csv")
    assert launch_job(*add).wait() == 0
    loop = launch_job("start")
    said = await_events(loop, "tick", 2)
    assert said[0]["event"] == "start"
    loop.kill()
    loop.wait()
    loop = launch_job("start")
    await_events(loop, "tick", 2)
    loop.send_signal(signal.SIGTERM)
    rest = [json.loads(line) for line in loop.stdout]
    assert (loop.wait(timeout=30), rest[-1]["event"]) == (0, "stop")
    (health,) = (launch_job.storage / "schedules" / ".loops").glob("*.json")
    state = json.loads(health.read_text())
    assert (state["state"], state["schedules"], state["pid"]) == ("stopped", 1, loop.pid)

    # Those that look after runs may still be at work.
    deadline = time.monotonic() + 60
    while "waiting" in {one["state"] for one in history(launch_job)}:
        assert time.monotonic() < deadline
    told = history(launch_job)
    ticks = [one["tick"] for one in told]
    assert len(ticks) == len(set(ticks)) >= 4
    failed = [one for one in told if one["outcome"] == "failed"]
    assert failed
    assert all("gone.csv" in one["why"] and one["run_id"] is None for one in failed)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_loop_with_nothing_to_do_ends_at_a_signal(launch_job, number):
    loop = launch_job("start")
    await_events(loop, "start", 1)
    loop.send_signal(number)
    assert loop.wait(timeout=30) == 0


def test_a_storage_that_can_not_be_written_ends_the_loop_at_once(launch_job):
    launch_job.storage.write_text("a file")
    loop = launch_job("start", stderr=subprocess.PIPE)
    _, complaint = loop.communicate(timeout=60)
    assert loop.returncode == 3
    assert "Can't use" in complaint
