"""Whatever dies, the run goes on, or can be taken up, and ends as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from processes import left_running, workers_of
from steady_job import write_project

ASKED = ("steady", "--workers", "2", "--checkpoint-every", "20")


@pytest.fixture(scope="module")
def project(launch_job):
    write_project(launch_job.folder)
    return launch_job


@pytest.fixture(scope="module")
def undisturbed(project):
    report = project.report(*ASKED)
    return report, weights(project, report)


class Going:
    """A run that goes on while a test does something to it."""

    def __init__(self, project, name, *more):
        self.project = project
        self.process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator", *ASKED, "--name", name, "-o", "json", *more],
            cwd=project.folder,
            env=project.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.await_line("Epoch 3/40")

    def await_line(self, start):
        for line in self.process.stderr:
            if line.startswith(start):
                return
        raise AssertionError(f"the run ended with {self.process.wait()} before {start!r}")

    def end(self, code):
        """Wait for its end; return the report it printed and what else it said."""
        out, said = self.process.communicate(timeout=300)
        assert self.process.returncode == code, said
        return json.loads(out) if out else None, said


def weights(project, report):
    """The bytes of the model's weights."""
    with zipfile.ZipFile(project.run_folder(report) / "model.keras") as model:
        return model.read("model.weights.h5")


def check_same(project, report, undisturbed):
    expected, expected_weights = undisturbed
    assert report["state"] == "SUCCEEDED"
    assert weights(project, report) == expected_weights
    figures = ("epoch", "loss", "accuracy")
    assert [[e[f] for f in figures] for e in report["history"]] == [
        [e[f] for f in figures] for e in expected["history"]
    ]
    folder = project.run_folder(report)
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert [e["epoch"] for e in events if e["event"] == "epoch"] == list(range(1, 41))
    rows = json.loads(project("results", "--job", "steady", "-o", "json").stdout)
    assert [row["run_id"] for row in rows].count(report["run_id"]) == 1


def state_of(project, name):
    runs = json.loads(project("ls", "-o", "json").stdout)
    (run,) = [run for run in runs if run["name"] == name]
    return run["state"], run["run_id"]


def test_killed_worker_is_replaced(project, undisturbed):
    going = Going(project, "worker-killed")
    os.kill(workers_of(project)[1], signal.SIGKILL)
    report, said = going.end(0)
    check_same(project, report, undisturbed)
    (restart,) = report["restarts"]
    assert (restart["cause"], restart["counts"]) == ("killed", True)
    assert "Training goes on from step" in said or "Training goes on from the end" in said


def test_worker_that_is_told_to_end_costs_no_retry_and_no_step(project, undisturbed):
    going = Going(project, "worker-preempted", "--retries", "0")
    os.kill(workers_of(project)[0], signal.SIGTERM)
    report, _ = going.end(0)
    check_same(project, report, undisturbed)
    (restart,) = report["restarts"]
    assert (restart["cause"], restart["counts"]) == ("preempted", False)


def test_without_retries_a_killed_worker_fails_the_run(project, undisturbed):
    going = Going(project, "no-retries", "--retries", "0")
    os.kill(workers_of(project)[1], signal.SIGKILL)
    going.end(1)
    state, run_id = state_of(project, "no-retries")
    assert state == "FAILED"
    error = json.loads((project.storage / "runs" / run_id / "report.json").read_text())["error"]
    assert error["cause"] == "killed"
    check_same(project, project.report("resume", run_id), undisturbed)


def test_killed_driver_leaves_a_lost_run_that_can_be_taken_up(project, undisturbed):
    going = Going(project, "driver-killed")
    going.process.kill()
    going.process.communicate()
    assert left_running(project) == []
    state, run_id = state_of(project, "driver-killed")
    assert state == "LOST"
    report = project.report("resume", run_id)
    check_same(project, report, undisturbed)
    assert [entry["event"] for entry in report["restarts"]] == ["resume"]
    assert state_of(project, "driver-killed")[0] == "SUCCEEDED"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_stops_at_a_checkpoint_and_goes_on(project, undisturbed, number):
    going = Going(project, f"interrupted-{number}")
    if number == signal.SIGINT:
        os.killpg(going.process.pid, number)  # As a terminal does it: the whole group gets it.
    else:
        going.process.send_signal(number)
    _, said = going.end(130)
    assert "launch-job resume" in said
    assert left_running(project) == []
    state, run_id = state_of(project, f"interrupted-{number}")
    assert state == "STOPPED"
    check_same(project, project.report("resume", run_id), undisturbed)


def test_stopped_run_goes_on_with_other_workers(project, undisturbed):
    going = Going(project, "stopped")
    _, run_id = state_of(project, "stopped")
    assert project("resume", run_id, code=2).stderr.count("still going on") == 1
    assert "resume" in project("stop", run_id).stderr
    going.end(130)
    assert "not going on" in project("stop", run_id, code=2).stderr
    report = project.report("resume", run_id, "--workers", 3)
    assert (report["workers"], report["steps"]) == (3, undisturbed[0]["steps"])
    assert report["test_rows"] == 360


def test_damaged_checkpoints_are_passed_over(project, undisturbed):
    going = Going(project, "damaged")
    going.process.kill()
    going.process.communicate()
    assert left_running(project) == []
    _, run_id = state_of(project, "damaged")
    checkpoints = sorted((project.storage / "runs" / run_id / "checkpoints").glob("epoch-*"))
    flip(checkpoints[-1] / "arrays.npz")
    done = project("resume", run_id, "-o", "json")
    assert "passed over" in done.stderr
    check_same(project, json.loads(done.stdout), undisturbed)


def test_run_without_a_whole_checkpoint_starts_anew_only_if_told(project, undisturbed):
    going = Going(project, "all-damaged")
    going.process.kill()
    going.process.communicate()
    assert left_running(project) == []
    _, run_id = state_of(project, "all-damaged")
    for checkpoint in (project.storage / "runs" / run_id / "checkpoints").glob("epoch-*"):
        (checkpoint / "manifest.json").unlink()
    assert "--restart" in project("resume", run_id, code=1).stderr
    check_same(project, project.report("resume", run_id, "--restart"), undisturbed)


def test_finished_run_has_nothing_to_resume(project, undisturbed):
    assert "has succeeded" in project("resume", undisturbed[0]["run_id"], code=2).stderr


def flip(path: Path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
