"""Asking: how long `results` and `compare` take over many runs, against MLflow's search_runs.

Targets: 0.2 of the peer's time; and over ten times the runs at most ten times the time. Both stores
hold the same runs, both are asked in a process that is warm: for the newest 20 runs of a job, for
its best 20, and for its best two with all their metrics (launch-job also tests their difference).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import many_runs
from measure import Target, report, take_turns
from mlflow_peer import mlflow, write_runs

from orchestrator.results.comparison import compare_best
from orchestrator.results.tables import SUMMARY, ResultsStore
from orchestrator.storage import Storage

JOB = many_runs.JOBS[0]
QUESTIONS = ("newest", "best", "compare")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--runs", type=int, default=30_000)
    parser.add_argument("--folder", type=Path, help="Keep the stores there, and use them again.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.folder or Path(name)
        many, few = (filled(folder, runs) for runs in (arguments.runs, arguments.runs // 10))
        contestants = {
            "launch-job": partial(ask, many),
            "launch-job, a tenth": partial(ask, few),
            "mlflow": lambda: {q: s[0] for q, s in mlflow("ask", many, JOB, "1").items()},
        }
        rounds = take_turns(contestants, arguments.rounds)
    worst = 0
    for question in QUESTIONS:
        values = {who: [found[question] for found in told] for who, told in rounds.items()}
        targets = {
            ("launch-job", "mlflow"): Target(bound=0.2, at_least=False),
            ("launch-job", "launch-job, a tenth"): Target(bound=10.0, at_least=False),
        }
        worst |= report(f"asking-{question}", "seconds", values, targets)
    return worst


def filled(folder: Path, runs: int) -> Path:
    """Return a folder with both stores, filled with so many runs."""
    found = folder / str(runs)
    if not (found / ".filled").is_file():
        found.mkdir(parents=True)
        print(f"filling stores with {runs} runs ...", file=sys.stderr)
        many_runs.make_store(Storage.at(str(found)), runs)
        source = found / "runs.jsonl"
        write_runs(source, map(many_runs.run, range(runs)))
        mlflow("fill", found, source)
        source.unlink()
        (found / ".filled").touch()
    return found


def ask(folder: Path) -> dict[str, float]:
    """Return the seconds that each question takes; the first time fills caches, as the peer's."""
    storage = Storage.at(str(folder))
    store = ResultsStore(storage=storage)
    questions = {
        "newest": partial(store.reports, job=JOB, limit=20, columns=SUMMARY),
        "best": partial(store.reports, job=JOB, best="accuracy", limit=20, columns=SUMMARY),
        "compare": partial(compare_best, storage, best="accuracy", job=JOB, dataset=None, number=2),
    }
    found = {}
    for name, question in questions.items():
        question()
        began = time.perf_counter()
        question()
        found[name] = time.perf_counter() - began
    return found


if __name__ == "__main__":
    sys.exit(main())
