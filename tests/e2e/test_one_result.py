"""A run has one result, however often and wherever its driver was killed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from steady_job import write_project

SCRIPT = Path(__file__).parent / "drive_and_die.py"
STEPS = ("begin", "prepare", "train", "gather", "report", "record")


@pytest.fixture(scope="module")
def run_id(launch_job):
    """A run whose driver was killed after each of its steps, and that was taken up each time."""
    write_project(launch_job.folder)
    found = []
    for step in STEPS:
        done = subprocess.run(
            [sys.executable, SCRIPT, step, *found],
            cwd=launch_job.folder,
            env=launch_job.environment,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == -9, f"{step}: {done.stderr}"
        (run,) = json.loads(launch_job("ls", "-o", "json").stdout)
        assert run["state"] == "LOST", step
        found = [run["run_id"]]
    launch_job("resume", *found)
    return found[0]


def test_it_succeeds_in_the_end(launch_job, run_id):
    (run,) = json.loads(launch_job("ls", "-o", "json").stdout)
    assert (run["state"], run["epochs_done"]) == ("SUCCEEDED", 1)


def test_it_is_recorded_once(launch_job, run_id):
    script = (
        "import json, os; from orchestrator.results.tables import ResultsStore; "
        "from orchestrator.storage.storage import Storage; "
        "store = ResultsStore(storage=Storage.at(os.environ['LAUNCH_JOB_STORAGE'])); "
        "print([store.table(name).num_rows for name in ('runs', 'reports')]); "
        "rows = store.table('metrics').to_pylist(); "
        "print(json.dumps([[row['epoch'], row['step']] for row in rows]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=launch_job.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    rows, metrics = map(json.loads, done.stdout.splitlines())
    assert rows == [1, 1], done.stderr
    places = [(epoch, step or 0) for epoch, step in metrics]
    # The whole epoch, and places within it; none of them twice.
    assert (1, 0) in places
    assert len(places) == len(set(places)) > 2


def test_its_report_tells_each_time(launch_job, run_id):
    report = json.loads(launch_job("report", run_id, "-o", "json").stdout)
    assert [entry["event"] for entry in report["restarts"]] == ["resume"] * len(STEPS)
    assert report["steps"] == 45


def test_done_again_it_has_bitwise_the_same_weights(launch_job, run_id):
    """However often its driver was killed: the reproduction is left alone."""
    verdict = json.loads(launch_job("reproduce", run_id, "-o", "json").stdout)
    assert (verdict["outcome"], verdict["changes"]) == ("bitwise", [])
    runs = json.loads(launch_job("ls", "-o", "json").stdout)
    assert [run["state"] for run in runs] == ["SUCCEEDED", "SUCCEEDED"]


def test_one_other_byte_of_the_job_is_said_before_it_is_done_again(launch_job, run_id):
    (job,) = (launch_job.folder / "jobs").glob("*.py")
    code = job.read_bytes()
    job.write_bytes(code + b"\n")
    try:
        told = json.loads(launch_job("reproduce", run_id, "--dry-run", "-o", "json").stdout)
    finally:
        job.write_bytes(code)
    assert [change["name"] for change in told["changes"]] == ["job's file (SHA-256)"]
