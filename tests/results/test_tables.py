"""Contract 7: a run is in the tables once, whoever records it and however often."""

import dataclasses
import multiprocessing
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError
from pyarrow import parquet
from sample_reports import sample

from orchestrator.errors import UnavailableError
from orchestrator.results import delta as delta_module
from orchestrator.results import rows
from orchestrator.results.rows import report_of_row
from orchestrator.results.table_place import TablePlace
from orchestrator.results.tables import ResultsStore
from orchestrator.storage.storage import Storage

ROOT = Path(__file__).resolve().parents[2]


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


def delta(store, table="runs"):
    return DeltaTable(str(store.storage.results / table))


def ended(run_id, finished_at, **changes):
    return dataclasses.replace(
        sample(run_id, **changes), finished_at=f"2026-02-0{finished_at}T00:00:00+00:00"
    )


def test_recording_again_writes_nothing(store):
    for _ in range(3):
        store.record(sample("a"))
    assert run_ids(store, "runs") == run_ids(store) == ["a"]
    assert store.table("metrics").num_rows == 2
    # Version 0 makes the table, 1 is the row.
    assert {delta(store, name).version() for name in ("runs", "reports", "metrics")} == {1}


def test_failed_run_that_was_resumed_shows_its_end(store):
    store.record(ended("a", 1, failed=True))
    assert store.table("reports").num_rows == 0
    store.record(ended("a", 2))
    assert store.table("runs")["state"].to_pylist() == ["SUCCEEDED"]
    assert run_ids(store) == ["a"]


def test_driver_that_comes_back_late_undoes_no_later_end(store):
    store.record(ended("a", 2))
    store.record(ended("a", 1, failed=True))
    assert store.table("runs")["state"].to_pylist() == ["SUCCEEDED"]


#: What the processes of a pool begin their writes together at.
_start = {}


def record(folder, run_id):
    _start["barrier"].wait()
    ResultsStore(storage=Storage(path=folder)).record(sample(run_id))


def wait_at(barrier):
    _start["barrier"] = barrier


@pytest.mark.parametrize(
    "ids",
    [["same"] * 2, [f"run-{n}" for n in range(8)], [f"run-{n // 2}" for n in range(6)]],
    ids=["2-of-one-run", "8-of-8-runs", "6-of-3-runs"],
)
def test_writers_at_once_lose_nothing_and_double_nothing(tmp_path, ids):
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(len(ids))
    with context.Pool(len(ids), wait_at, (barrier,)) as pool:
        pool.starmap(record, [(tmp_path, run_id) for run_id in ids], chunksize=1)
    store = ResultsStore(storage=Storage(path=tmp_path))
    runs = sorted(set(ids))
    assert run_ids(store) == run_ids(store, "runs") == runs
    epochs = store.table("metrics").select(["run_id", "epoch"]).to_pylist()
    assert sorted((row["run_id"], row["epoch"]) for row in epochs) == [
        (run, epoch) for run in runs for epoch in (1, 2)
    ]
    for name in ("runs", "reports", "metrics"):
        made = [h for h in delta(store, name).history() if h["operation"] == "CREATE TABLE"]
        assert len(made) == 1


def test_writer_that_was_overtaken_is_refused(store):
    """What makes the retry safe: only a writer that has seen all rows may add one."""
    added = pa.Table.from_pylist(rows.rows("runs", sample("a")), schema=rows.schema("runs"))
    table = store._table("runs")
    behind = table._open()
    store.record(sample("another"))
    with pytest.raises(CommitFailedError):
        table._put(behind, added)
    assert run_ids(store, "runs") == ["another"]


def test_small_files_become_one(store, monkeypatch):
    monkeypatch.setattr(delta_module, "_MOST_FILES", 4)
    for number in range(4):
        store.record(sample(f"r{number}"))
    assert run_ids(store, "runs") == [f"r{number}" for number in range(4)]
    assert len(delta(store).file_uris()) == 1


def test_large_files_are_left_as_they_are(store, monkeypatch):
    monkeypatch.setattr(delta_module, "_MOST_FILES", 2)
    monkeypatch.setattr(delta_module, "_FILE_BYTES", 2)
    for number in range(4):
        store.record(sample(f"r{number}"))
    assert len(delta(store).file_uris()) == 4


def test_files_that_were_replaced_are_there_for_their_readers(store, monkeypatch):
    store.record(sample("a"))
    reader = store._table("runs").latest()
    monkeypatch.setattr(delta_module, "_MOST_FILES", 2)
    for number in range(4):
        store.record(sample(f"r{number}"))
    assert reader.read()["run_id"].to_pylist() == ["a"]


def test_columns_are_only_added(store, monkeypatch):
    """A table of an earlier version gets the new column, and one of a later version keeps its."""
    store.record(sample("a"))
    now = rows.schema
    monkeypatch.setattr(
        rows, "schema", lambda t: pa.schema([*now(t), ("device_name", pa.string())])
    )
    monkeypatch.setattr(
        rows, "rows", lambda t, report, running: [{"run_id": report.run_id, "device_name": "x"}]
    )
    store.record(sample("b"))
    monkeypatch.undo()
    store.record(sample("c"))
    found = {row["run_id"]: row for row in store.table("reports").to_pylist()}
    assert {run: row["device_name"] for run, row in found.items()} == {
        "a": None,
        "b": "x",
        "c": None,
    }
    # A row whose columns another version left empty is no error.
    assert report_of_row(found["b"])["params"] is None
    assert report_of_row(found["c"])["params"] == {"units": 8}


@pytest.mark.parametrize("table", ["runs", "reports", "metrics"])
def test_columns_are_as_declared(store, table):
    assert store.table(table).schema == rows.schema(table)
    store.record(sample("a"))
    assert store.table(table).schema == rows.schema(table)


def test_process_that_read_the_tables_ends_well(store):
    """Arrow threads that call Python while it ends abort the process: the exit code is lost."""
    for run_id in "abc":
        store.record(sample(run_id))
    script = (
        "from pathlib import Path\n"
        "from orchestrator.results.tables import ResultsStore\n"
        "from orchestrator.storage.storage import Storage\n"
        f"store = ResultsStore(storage=Storage(path=Path({str(store.storage.path)!r})))\n"
        "for _ in range(5):\n"
        "    assert store.reports().num_rows == 3\n"
    )
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=60, check=False)
        assert done.returncode == 0


def test_table_that_lost_a_file_is_an_error_that_names_it(store):
    store.record(sample("a"))
    for file in (store.storage.results / "reports").glob("*.parquet"):
        file.unlink()
    with pytest.raises(UnavailableError, match="results/reports"):
        store.reports()


def test_results_that_cant_be_written(tmp_path):
    (tmp_path / "results").write_text("in the way")
    with pytest.raises(UnavailableError, match="results"):
        ResultsStore(storage=Storage(path=tmp_path)).record(sample("a"))


def test_filters(store):
    for number, job in enumerate(("lstm", "cnn", "lstm")):
        store.record(sample(f"r{number}", job=job, day=number + 1))
    assert store.reports(job="lstm")["run_id"].to_pylist() == ["r2", "r0"]
    assert store.reports(limit=1)["run_id"].to_pylist() == ["r2"]
    since = store.reports(job="cnn")["started_at"].to_pylist()[0]
    assert store.reports(since=since)["run_id"].to_pylist() == ["r2", "r1"]
    assert store.reports(dataset="other").num_rows == 0


def test_newest_are_found_however_runs_lie_in_files_and_groups(store, monkeypatch):
    monkeypatch.setattr(delta_module, "_MOST_FILES", 6)
    monkeypatch.setattr(delta_module, "_GROUP_ROWS", 2)
    days = (3, 9, 1, 7, 5, 6, 2, 8)
    for day in days:
        store.record(sample(f"r{day}", day=day, job="odd" if day % 2 else "even"))
    files = delta(store, "reports").file_uris()
    groups = [parquet.ParquetFile(file).num_row_groups for file in files]
    assert sorted(groups) == [1, 1, 3], "six runs in one file, and two that came later"
    newest = [f"r{day}" for day in sorted(days, reverse=True)]
    odd = [run for run in newest if int(run[1:]) % 2]
    for limit in range(1, len(days) + 2):
        assert store.reports(limit=limit)["run_id"].to_pylist() == newest[:limit]
        assert store.reports(limit=limit, job="odd")["run_id"].to_pylist() == odd[:limit]


def test_files_that_cant_match_are_not_read(store):
    for number in (1, 2):
        store.record(sample(f"r{number}", day=number))
    (since,) = store.reports(limit=1, columns=["started_at"])["started_at"].to_pylist()
    for file in delta(store, "reports").get_add_actions(flatten=True).to_struct_array().to_pylist():
        if file["max.run_id"] == "r1":
            (store.storage.results / "reports" / file["path"]).unlink()
    assert store.reports(since=since)["run_id"].to_pylist() == ["r2"]


def age(store, seconds=60):
    """Let time go by since the tables were written to."""
    for log in store.storage.results.glob("*/_delta_log"):
        then = log.stat().st_mtime_ns - int(seconds * 10**9)
        os.utime(log, ns=(then, then))


@pytest.fixture
def opened(monkeypatch):
    """Folders of the tables that were opened, in turn."""
    names = []
    really_open = TablePlace.open

    def open_and_tell(place):
        names.append(place.path.name)
        return really_open(place)

    monkeypatch.setattr(TablePlace, "open", open_and_tell)
    return names


def test_a_table_is_opened_again_only_if_something_was_written(store, opened):
    store.record(sample("a"))
    age(store)
    opened.clear()
    for _ in range(3):
        assert store.reports(limit=1)["run_id"].to_pylist() == ["a"]
        assert run_ids(store) == ["a"]
    assert opened == ["reports"]


def test_what_another_writes_is_seen_at_once(store):
    store.record(sample("a"))
    age(store)
    assert run_ids(store) == ["a"]
    ResultsStore(storage=store.storage).record(sample("b"))
    assert run_ids(store) == ["a", "b"]
    # The same time is left by two commits that follow on each other: the log's is not told apart.
    age(store, 0.001)
    ResultsStore(storage=store.storage).record(sample("c"))
    age(store, 0.001)
    assert run_ids(store) == ["a", "b", "c"]


def test_a_table_that_was_made_anew_is_another_one(store):
    store.record(sample("a"))
    age(store)
    assert run_ids(store) == ["a"]
    shutil.rmtree(store.storage.results)
    assert run_ids(store) == []
    store.record(sample("b"))
    age(store)
    assert run_ids(store) == ["b"]


def test_empty_store_is_an_empty_table(store):
    assert store.reports().num_rows == 0


def test_any_delta_reader_reads_it(store):
    store.record(sample("a"))
    table = delta(store, "reports").to_pyarrow_table()
    assert table["accuracy"].to_pylist() == [0.75]
