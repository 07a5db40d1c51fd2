"""SQL and files of the results: what can be asked, what can't, and what other tools get."""

import csv
import io
import json

import duckdb
import pyarrow.parquet as pq
import pytest
from sample_reports import sample

from orchestrator.errors import UsageError
from orchestrator.results.export import encode
from orchestrator.results.tables import ResultsStore
from orchestrator.storage.storage import Storage


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = ResultsStore(storage=Storage(path=tmp_path_factory.mktemp("store")))
    store.record(sample("a", job="lstm"), [{"epoch": 1, "step": 3, "loss": 2.0, "f1": 0.1}])
    store.record(sample("b", job="cnn", failed=True))
    return store


def test_tables_are_joined(store):
    text = """SELECT r.job, max(m.accuracy) AS best,
              count(m.epoch) FILTER (m.step IS NULL) AS epochs
              FROM runs r LEFT JOIN metrics m USING (run_id) GROUP BY ALL ORDER BY r.job"""
    assert store.sql(text).to_pylist() == [
        {"job": "cnn", "best": None, "epochs": 0},
        {"job": "lstm", "best": 0.75, "epochs": 2},
    ]


def test_what_differs_from_job_to_job_is_json(store):
    found = store.sql("SELECT params->>'units' AS units FROM reports").to_pylist()
    assert found == [{"units": "8"}]
    assert store.sql("SELECT others->>'f1' AS f1 FROM metrics WHERE step = 3").to_pylist() == [
        {"f1": "0.1"}
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("SELECT nothing FROM runs", "nothing"),
        ("SELECT * FROM nowhere", "nowhere"),
        ("SELEC 1", "syntax error"),
        ("DROP VIEW runs", "Only one SELECT"),
        ("SELECT 1; SELECT 2", "Only one SELECT"),
        ("", "Only one SELECT"),
        ("COPY runs TO '/tmp/runs.csv'", "Only one SELECT"),
        ("SELECT * FROM read_csv('/etc/passwd')", "Permission"),
        ("SELECT * FROM store", "store"),
    ],
)
def test_only_the_tables_can_be_read(store, text, told):
    with pytest.raises(UsageError, match=told):
        store.sql(text)


def test_sql_over_an_empty_store(tmp_path):
    store = ResultsStore(storage=Storage(path=tmp_path))
    assert store.sql("SELECT count(*) AS n FROM reports").to_pylist() == [{"n": 0}]


def test_csv_has_lists_as_json(store):
    (row,) = csv.DictReader(io.StringIO(encode(store.table("reports"), "csv").decode()))
    assert (row["run_id"], row["accuracy"]) == ("a", "0.75")
    assert json.loads(row["confusion_matrix"]) == [[2, 0], [1, 1]]


def test_json_is_an_array_whose_numbers_json_has_words_for(store):
    table = store.sql("SELECT run_id, 'nan'::DOUBLE AS loss, started_at FROM runs ORDER BY run_id")
    assert json.loads(encode(table, "json")) == [
        {"run_id": run, "loss": None, "started_at": "2026-01-01T00:00:00+00:00"} for run in "ab"
    ]


def test_parquet_is_the_table(store, tmp_path):
    path = tmp_path / "metrics.parquet"
    path.write_bytes(encode(store.table("metrics"), "parquet"))
    assert pq.read_table(path).equals(store.table("metrics"))
    assert duckdb.sql(f"SELECT count(*) FROM '{path}'").fetchall() == [(3,)]
