"""Many writers at once, with one that tidies up and one that reads: every row, exactly once."""

import multiprocessing
import time
from collections import Counter
from pathlib import Path

import pytest
from sample_reports import sample

from orchestrator.results import delta
from orchestrator.results.tables import ResultsStore
from orchestrator.storage.storage import Storage

WRITERS, RUNS_EACH = 32, 2

pytestmark = pytest.mark.slow


def record(folder, writer):
    store = ResultsStore(storage=Storage(path=folder))
    for number in range(RUNS_EACH):
        running = [{"epoch": 1, "step": step, "loss": 1.0} for step in (1, 2)]
        store.record(sample(f"run-{writer:02d}-{number}"), running)


def tidy(folder, over):
    """Make small files one and remove old ones, over and over, as writers do now and then."""
    delta._MOST_FILES = 2
    store = ResultsStore(storage=Storage(path=folder))
    done = 0
    while not over.is_set():
        table = store._table("metrics")
        target = table._open()
        before = target.version()
        table._tidy(target)
        done += table._open().version() > before
        time.sleep(0.05)
    return done


def read(folder, over):
    """Read all the time; no run's rows may ever be there twice, or in part."""
    store = ResultsStore(storage=Storage(path=folder))
    reads = 0
    while not over.is_set():
        rows = store.table("metrics", columns=["run_id"])["run_id"].to_pylist()
        assert set(Counter(rows).values()) <= {4}
        store.sql("SELECT count(*) FROM runs JOIN metrics USING (run_id)")
        reads += 1
    return reads


def test_every_row_is_there_once_and_no_reader_fails(tmp_path: Path):
    # Forked from a process that has imported what they need: 34 imports take longer than the rest.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["deltalake", "duckdb", "pyarrow.dataset", "test_crowd"])
    with context.Manager() as manager, context.Pool(WRITERS + 2) as pool:
        over = manager.Event()
        others = [pool.apply_async(work, (tmp_path, over)) for work in (tidy, read)]
        writing = [pool.apply_async(record, (tmp_path, writer)) for writer in range(WRITERS)]
        for writer in writing:
            writer.get(timeout=240)
        over.set()
        compactions, reads = (other.get(timeout=60) for other in others)
    assert compactions
    assert reads
    store = ResultsStore(storage=Storage(path=tmp_path))
    runs = [f"run-{writer:02d}-{n}" for writer in range(WRITERS) for n in range(RUNS_EACH)]
    for name in ("runs", "reports"):
        assert sorted(store.table(name)["run_id"].to_pylist()) == runs
    found = store.table("metrics").select(["run_id", "epoch", "step"]).to_pylist()
    assert Counter((row["run_id"], row["epoch"], row["step"]) for row in found) == Counter(
        (run, *place) for run in runs for place in ((1, 1), (1, 2), (1, None), (2, None))
    )
