"""Recording: seconds to write a finished run's report and metrics, against MLflow on SQLite.

Both write the same runs, one by one, in a process that is warm; MLflow in one batch a run
(peers/mlflow_store.py). With 8 writers at once, all of whose runs get in, a run may take ten times
as long as alone.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import many_runs
from harness import Comparison, Question, at_most, options, report, take_turns
from mlflow_peer import mlflow, write_runs

from orchestrator.results.tables import ResultsStore
from orchestrator.storage.storage import Storage

OURS, CROWD, PEER = "launch-job", "launch-job, 8 at once", "mlflow"
WRITERS = 8

QUESTION = Question(
    name="recording",
    title="How long does it take to record a finished run?",
    unit="seconds a run",
    comparisons=(
        Comparison(ours=OURS, peer=PEER, target=at_most(0.5)),
        Comparison(ours=CROWD, peer=OURS, target=at_most(10.0)),
    ),
    method=__doc__,
)


def main() -> int:
    parser = options(__doc__, rounds=5)
    parser.add_argument("--runs", type=int, default=40)
    arguments = parser.parse_args()
    numbers = range(arguments.runs)
    contestants: dict[str, Callable[[], float]] = {
        OURS: partial(alone, numbers),
        CROWD: crowd,
        PEER: partial(peer, numbers),
    }
    return report(QUESTION, take_turns(contestants, arguments.rounds, warm_up=False))


def alone(numbers: Sequence[int]) -> float:
    """Return the median seconds of a run, written by one process into new tables."""
    with tempfile.TemporaryDirectory() as folder, _pool(1) as pool:
        return statistics.median(pool.apply(record, (folder, numbers)))


def crowd() -> float:
    """Return the median seconds of a run, written by one of 8 processes that write at once."""
    with tempfile.TemporaryDirectory() as folder, _pool(WRITERS) as pool:
        parts = [(folder, range(10 * writer, 10 * writer + 10)) for writer in range(WRITERS)]
        seconds = [s for part in pool.starmap(record, parts, chunksize=1) for s in part]
        store = ResultsStore(storage=Storage.at(folder))
        written = store.table("runs", columns=["run_id"])["run_id"].to_pylist()
        if len(written) != len(set(written)) or len(written) != 10 * WRITERS + 1:
            raise SystemExit(f"{len(set(written))} of {10 * WRITERS + 1} runs are in the table.")
    return statistics.median(seconds)


def record(folder: str, numbers: Sequence[int]) -> list[float]:
    """Write runs, after one that everybody writes; return the seconds of each."""
    store = ResultsStore(storage=Storage.at(folder))
    store.record(*many_runs.run(10_000))
    seconds = []
    for made in [many_runs.run(number) for number in numbers]:
        began = time.perf_counter()
        store.record(*made)
        seconds.append(time.perf_counter() - began)
    return seconds


def peer(numbers: Sequence[int]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "runs.jsonl"
        write_runs(source, map(many_runs.run, numbers))
        return float(statistics.median(mlflow("write", folder, source)["seconds"]))


def _pool(processes: int) -> multiprocessing.pool.Pool:
    return multiprocessing.get_context("spawn").Pool(processes)


if __name__ == "__main__":
    sys.exit(main())
