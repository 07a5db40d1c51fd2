"""The results tables where they lie in a storage of objects."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from deltalake import DeltaTable
from sample_reports import sample

from orchestrator.errors import UnavailableError
from orchestrator.results import delta as delta_module
from orchestrator.results.rows import report_of_row
from orchestrator.results.tables import ResultsStore
from orchestrator.storage.storage import Storage

IDS = [f"run-{number}" for number in range(6)]


@pytest.fixture
def stores(machines):
    """The same tables, as two machines see them."""
    return [ResultsStore(storage=storage) for storage in machines]


def test_what_one_machine_records_another_reads(stores):
    here, there = stores
    assert there.reports().num_rows == 0
    report = sample("a")
    here.record(report)
    here.record(report)
    (row,) = there.reports(job=report.job).to_pylist()
    assert report_of_row(row)["params"] == report.to_dict()["params"]
    assert there.sql("SELECT count(*) FROM runs").to_pylist() == [{"count_star()": 1}]


def test_writers_on_several_machines_lose_nothing_and_double_nothing(stores):
    def record(number):
        # Without the turns that writers on one machine take, these are refused and try again.
        stores[number % 2].record(sample(IDS[number // 2]))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(record, range(2 * len(IDS))))
    for store in stores:
        for table in ("runs", "reports"):
            assert sorted(store.table(table)["run_id"].to_pylist()) == sorted(
                sample(name).run_id for name in IDS
            )


def test_small_files_become_one(stores, monkeypatch):
    monkeypatch.setattr(delta_module, "_MOST_FILES", 3)
    for name in IDS:
        stores[0].record(sample(name))
    assert stores[1].table("runs").num_rows == len(IDS)
    objects = stores[0].storage.objects.within("results", "runs")
    table = DeltaTable(objects.address, storage_options=objects.store.delta_options())
    assert table.get_add_actions().num_rows < len(IDS)


def test_a_server_that_does_not_answer_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name, value in (("ENDPOINT_URL", "http://127.0.0.1:9"), ("REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "anybody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "anything")
    store = ResultsStore(storage=Storage.at("s3://nowhere/storage"))
    named = "results table s3://nowhere/storage/results/rep"
    with pytest.raises(UnavailableError, match=named) as caught:
        store.reports()
    # Delta draws its chain of causes, in colour.
    assert caught.value.message.isprintable()
    assert "↳" not in caught.value.message
