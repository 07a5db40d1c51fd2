"""The main job on the real MNIST: real command, real Ray, real TensorFlow processes."""

import dataclasses
import json
import os
import re
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from processes import left_running

from orchestrator.records.predictions import Predictions
from orchestrator.training.affinity import equal_cores, share_of

FIELDS = {
    *("run_id", "job", "params", "dataset", "dataset_fingerprint", "workers", "epochs"),
    *("batch_size", "seed", "accuracy", "loss", "test_rows", "confusion_matrix", "per_class"),
    *("train_rows_per_s", "started_at", "finished_at", "wall_s", "state"),
}


@pytest.fixture(scope="module")
def launch_job(launch_job):
    """The command, with a folder of its own for temporary files."""
    # Sockets have short paths.
    with tempfile.TemporaryDirectory(prefix="mnist-") as temporary:
        yield dataclasses.replace(launch_job, temporary=temporary)


@pytest.fixture(scope="module")
def report(launch_job, real_mnist):
    return launch_job.report("lstm-mnist", "--workers", 4, "--epochs", 1, "--data-dir", real_mnist)


def test_report_has_every_field(report):
    assert set(report) >= FIELDS
    assert (report["state"], report["dataset"], report["workers"]) == ("SUCCEEDED", "mnist", 4)


def test_every_test_row_is_counted_once(report):
    matrix = report["confusion_matrix"]
    assert report["test_rows"] == sum(map(sum, matrix)) == 10_000
    assert sum(matrix[i][i] for i in range(10)) / 10_000 == report["accuracy"]
    assert sum(scores["support"] for scores in report["per_class"]) == 10_000


def test_it_learns(report):
    assert report["accuracy"] > 0.85
    assert report["steps"] == 469


def test_other_numbers_of_evaluating_workers_count_the_same(launch_job, report):
    dataset = launch_job.storage / "datasets" / "mnist" / report["dataset_fingerprint"][:16]
    script = Path(__file__).parent / "evaluate_again.py"
    done = subprocess.run(
        [sys.executable, script, launch_job.run_folder(report) / "model.keras", dataset, "1", "4"],
        env=launch_job.environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    one, four = map(json.loads, done.stdout.splitlines())
    assert one == four
    assert one["confusion"] == report["confusion_matrix"]
    assert one["loss_sum"] / one["rows"] == pytest.approx(report["loss"], rel=1e-5)


def test_what_ranks_print_stands_in_their_logs_once(launch_job, report):
    for log in (launch_job.run_folder(report) / "logs").glob("rank-*.log"):
        assert log.read_text().count("launch-job: rank ") == 1


def test_workers_share_the_cores_out(launch_job, report):
    cores = equal_cores(os.sched_getaffinity(0))
    if share_of(cores, worker=0, workers=4) is None:
        pytest.skip("four workers can't have equal shares of this machine")
    logs = launch_job.run_folder(report) / "logs"
    for rank in range(4):
        told = re.search(r"takes its steps on CPU (.*)", (logs / f"rank-000{rank}.log").read_text())
        share = {int(cpu) for cpu in told[1].split(",")}
        assert share == share_of(cores, worker=rank, workers=4)


def test_workers_of_one_machine_sum_through_memory(launch_job, report):
    for log in (launch_job.run_folder(report) / "logs").glob("rank-*.log"):
        assert "summed through memory" in log.read_text()


def test_run_folder_holds_everything(launch_job, report):
    folder = launch_job.run_folder(report)
    assert json.loads((folder / "report.json").read_text()) == report
    spec = json.loads((folder / "spec.json").read_text())
    assert spec["dataset_fingerprint"] == report["dataset_fingerprint"]
    assert spec["provenance"]["versions"]["keras"]
    assert sorted(p.name for p in (folder / "logs").glob("rank-*.log")) == [
        f"rank-000{rank}.log" for rank in range(4)
    ]
    assert list((folder / "tensorboard").rglob("events.out.tfevents.*"))
    assert [p.name for p in (folder / "checkpoints").iterdir()] == ["epoch-00001-step-0000000"]


def test_predictions_and_metrics_add_up_to_the_report(launch_job, report):
    folder = launch_job.run_folder(report)
    said = Predictions.read(folder / "predictions.arrow")
    right = (said.label == said.predicted).mean()
    assert (len(said), right) == (10_000, report["accuracy"])
    sql = "SELECT step FROM metrics WHERE epoch = 1 ORDER BY step"
    rows = json.loads(launch_job("results", "--sql", sql, "-o", "json").stdout)
    # Every two of the epoch's 30 calls of 16 steps; the last row is of the whole epoch.
    assert [row["step"] for row in rows] == [*range(32, 469, 32), None]


def test_page_shows_the_mistakes_as_pictures(launch_job, report):
    launch_job("report", "latest")
    page = (launch_job.run_folder(report) / "report.html").read_text()
    assert page.count("data:image/png") == len(report["hardest_mistakes"]) == 25


def test_events_tell_the_whole_story(launch_job, report):
    lines = (launch_job.run_folder(report) / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    states = [event["state"] for event in events if event["event"] == "state"]
    assert states == ["QUEUED", "PREPARING", "RUNNING", "SUCCEEDED"]
    assert [e["epoch"] for e in events if e["event"] == "epoch"] == [1]
    assert all(event["time"] for event in events)


def test_results_store_has_the_run_once(launch_job, report):
    rows = json.loads(launch_job("results", "--job", "lstm-mnist", "-o", "json").stdout)
    assert [row["run_id"] for row in rows] == [report["run_id"]]
    assert rows[0]["confusion_matrix"] == report["confusion_matrix"]
    assert report["run_id"] in launch_job("ls").stdout
    assert "Hardest mistakes" in launch_job("report", "latest").stdout


def test_sharing_cores_is_said_and_recorded(report):
    import os

    if len(os.sched_getaffinity(0)) >= 4:
        pytest.skip("four workers have a core each here")
    assert any("share" in note for note in report["notes"])


def test_token_is_for_the_user_alone(launch_job, report):
    mode = (launch_job.folder / "home" / "token").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_nothing_is_left_running(launch_job, report):
    assert left_running(launch_job) == []


def test_no_temporary_file_is_left_but_rays_own(launch_job, report):
    assert {path.name for path in Path(launch_job.temporary).iterdir()} <= {"ray"}


def test_second_run_takes_the_prepared_dataset(launch_job, report, real_mnist):
    folder = launch_job.storage / "datasets" / "mnist" / report["dataset_fingerprint"][:16]
    before = (folder / "manifest.json").stat().st_mtime_ns
    plan = launch_job("lstm-mnist", "--data-dir", real_mnist, "--dry-run", "-o", "json")
    assert json.loads(plan.stdout)["train_rows"] == 60_000
    assert (folder / "manifest.json").stat().st_mtime_ns == before
