"""Whatever dies, the run goes on, or can be taken up, and ends as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
import zipfile

import pytest
from processes import controller_of, left_running, workers_of
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

    def __init__(self, project, name="", *more, resume=None):
        self.project = project
        asked = ("resume", resume) if resume else (*ASKED, "--name", name, *more)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator", *asked, "-o", "json"],
            cwd=project.folder,
            env=project.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.await_epochs(3)

    def await_epochs(self, count):
        for _ in range(count):
            self.await_line("Epoch ")

    def await_line(self, words):
        for line in self.process.stderr:
            if words in line:
                return
        raise AssertionError(f"the run ended early, with {self.process.wait()}")

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


def test_processes_that_are_told_to_end_or_killed_are_replaced(project, undisturbed):
    going = Going(project, "worker-lost", "--retries", "2")
    os.kill(workers_of(project)[0], signal.SIGTERM)  # It costs no retry, and no step.
    going.await_line("Training goes on")
    going.await_epochs(3)
    os.kill(workers_of(project)[1], signal.SIGKILL)
    going.await_line("Training goes on")
    going.await_epochs(5)
    os.kill(controller_of(project), signal.SIGTERM)
    report, said = going.end(0)
    check_same(project, report, undisturbed)
    told = [(restart["cause"], restart["counts"]) for restart in report["restarts"]]
    assert told == [("preempted", False), ("killed", True), ("controller-lost", True)]
    assert "Training goes on from step" in said or "Training goes on from the end" in said


def test_interrupted_and_killed_drivers_leave_runs_that_can_be_taken_up(project, undisturbed):
    going = Going(project, "interrupted")
    os.killpg(going.process.pid, signal.SIGINT)  # As a terminal does it: the whole group gets it.
    _, said = going.end(130)
    assert "launch-job resume" in said
    assert left_running(project) == []
    state, run_id = state_of(project, "interrupted")
    assert state == "STOPPED"

    again = Going(project, resume=run_id)
    again.process.kill()
    again.process.communicate()
    assert left_running(project) == []
    assert state_of(project, "interrupted")[0] == "LOST"

    report = project.report("resume", run_id)
    check_same(project, report, undisturbed)
    assert [entry["event"] for entry in report["restarts"]] == ["resume", "resume"]
    assert "has succeeded" in project("resume", run_id, code=2).stderr


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


def test_without_retries_and_checkpoints_a_run_starts_anew_if_told(project, undisturbed):
    going = Going(project, "no-retries", "--retries", "0")
    os.kill(workers_of(project)[1], signal.SIGKILL)
    _, said = going.end(1)
    assert "was killed" in said
    state, run_id = state_of(project, "no-retries")
    assert state == "FAILED"
    folder = project.storage / "runs" / run_id
    error = json.loads((folder / "report.json").read_text())["error"]
    assert (error["cause"], error["rank"] in (0, 1)) == ("killed", True)
    for checkpoint in (folder / "checkpoints").glob("epoch-*"):
        (checkpoint / "manifest.json").unlink()
    assert "--restart" in project("resume", run_id, code=1).stderr
    check_same(project, project.report("resume", run_id, "--restart"), undisturbed)


def test_second_interrupt_ends_a_run_at_once(project):
    asked = ["lstm-mnist", "--dataset", "digits", "--epochs", "500", "--name", "endless"]
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator", *asked],
        cwd=project.folder,
        env=project.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        for line in process.stderr:
            if line.startswith("Epoch 1/500"):
                break
        process.send_signal(signal.SIGINT)
        for line in process.stderr:
            if line.startswith("Stopping"):
                break
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=120)
    assert process.returncode == 130, rest
    assert "launch-job resume" in rest
    (run,) = [r for r in json.loads(project("ls", "-o", "json").stdout) if r["name"] == "endless"]
    assert run["state"] == "STOPPED"
    assert run["epochs_done"] >= 1
    assert left_running(project) == []


def test_dashboard_is_told_of_while_a_run_goes_on(project):
    going = Going(project, "watched", "--epochs", "100000")
    going.await_line("Dashboard http://127.0.0.1:")
    going.process.send_signal(signal.SIGINT)
    going.end(130)
    (run,) = [r for r in json.loads(project("ls", "-o", "json").stdout) if r["name"] == "watched"]
    lines = (project.run_folder(run) / "events.jsonl").read_text().splitlines()
    told = [event for event in map(json.loads, lines) if event["event"] == "dashboard"]
    assert [event["address"].rpartition(":")[0] for event in told] == ["127.0.0.1"]
