"""Contract 7: a run is in the tables once, whoever records it and however often."""

import multiprocessing

import pytest
from sample_reports import sample

from orchestrator.results.tables import ResultsStore, report_of_row
from orchestrator.storage import Storage


@pytest.fixture
def store(tmp_path):
    return ResultsStore(storage=Storage(path=tmp_path))


def run_ids(store, table="reports"):
    return sorted(store.table(table)["run_id"].to_pylist())


def test_report_comes_back_as_it_was(store):
    report = sample("a")
    store.record(report)
    row = report_of_row(store.reports().to_pylist()[0])
    expected = report.to_dict()
    assert {key: row[key] for key in ("params", "history", "confusion_matrix", "accuracy")} == {
        "params": expected["params"],
        "history": list(expected["history"]),
        "confusion_matrix": [list(line) for line in expected["confusion_matrix"]],
        "accuracy": expected["accuracy"],
    }
    assert row["started_at"] == expected["started_at"]


def test_recording_again_changes_nothing(store):
    for _ in range(3):
        store.record(sample("a"))
    assert run_ids(store, "runs") == run_ids(store) == ["a"]
    assert store.table("metrics").num_rows == 2


def test_failed_run_that_was_resumed_shows_its_end(store):
    store.record(sample("a", failed=True))
    assert store.table("reports").num_rows == 0
    store.record(sample("a"))
    assert store.table("runs")["state"].to_pylist() == ["SUCCEEDED"]
    assert run_ids(store) == ["a"]


def record(folder, run_id):
    ResultsStore(storage=Storage(path=folder)).record(sample(run_id))


def test_writers_at_once_lose_nothing_and_double_nothing(tmp_path):
    ids = [f"run-{number // 2}" for number in range(12)]
    with multiprocessing.get_context("spawn").Pool(6) as pool:
        pool.starmap(record, [(tmp_path, run_id) for run_id in ids], chunksize=1)
    store = ResultsStore(storage=Storage(path=tmp_path))
    assert run_ids(store) == run_ids(store, "runs") == sorted(set(ids))
    assert store.table("metrics").num_rows == 2 * len(set(ids))


def test_filters(store):
    for number, job in enumerate(("lstm", "cnn", "lstm")):
        store.record(sample(f"r{number}", job=job, day=number + 1))
    assert store.reports(job="lstm")["run_id"].to_pylist() == ["r2", "r0"]
    assert store.reports(limit=1)["run_id"].to_pylist() == ["r2"]
    since = store.reports(job="cnn")["started_at"].to_pylist()[0]
    assert store.reports(since=since)["run_id"].to_pylist() == ["r2", "r1"]
    assert store.reports(dataset="other").num_rows == 0


def test_empty_store_is_an_empty_table(store):
    assert store.reports().num_rows == 0


def test_any_delta_reader_reads_it(store):
    from deltalake import DeltaTable

    store.record(sample("a"))
    table = DeltaTable(str(store.storage.results / "reports")).to_pyarrow_table()
    assert table["accuracy"].to_pylist() == [0.75]
