"""Asking: how long `results` and `compare` take over many runs, against MLflow's search_runs.

Both stores hold the same runs, and both are asked in a process that is warm: for the newest 20 runs
of a job, for its best 20, and for its best two with all their metrics (launch-job also tests
whether their difference is chance). Ten times the runs may take ten times as long. MLflow is asked
as it comes, and with the statistics that SQLite makes of its database if it is told to (ANALYZE).
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import many_runs
from harness import Comparison, Question, at_most, options, report, take_turns
from mlflow_peer import mlflow, write_runs

from orchestrator.results.comparison import compare_best
from orchestrator.results.tables import SUMMARY, ResultsStore
from orchestrator.storage.storage import Storage

JOB = many_runs.JOBS[0]
ASKED = ("newest", "best", "compare")
OURS, TENTH = "launch-job", "launch-job, a tenth of the runs"
PEER, ANALYZED = "mlflow", "mlflow, after ANALYZE"

QUESTION = Question(
    name="asking",
    title="How long do answers take over 30,000 runs?",
    unit="seconds",
    comparisons=tuple(
        Comparison(ours=f"{asked}: {OURS}", peer=f"{asked}: {peer}", target=target)
        for asked in ASKED
        for peer, target in ((PEER, at_most(0.2)), (ANALYZED, None), (TENTH, at_most(10.0)))
    ),
    method=__doc__,
)


def main() -> int:
    parser = options(__doc__, rounds=7)
    parser.add_argument("--runs", type=int, default=30_000)
    parser.add_argument("--folder", type=Path, help="Keep the stores there, and use them again.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.folder or Path(name)
        many, few = (filled(folder, runs) for runs in (arguments.runs, arguments.runs // 10))
        contestants = {
            OURS: partial(ask, many),
            TENTH: partial(ask, few),
            PEER: partial(ask_mlflow, many),
            ANALYZED: partial(ask_mlflow, many / "analyzed"),
        }
        told = take_turns(contestants, arguments.rounds, warm_up=False)
    values = {
        f"{asked}: {who}": [found[asked] for found in rounds]
        for asked in ASKED
        for who, rounds in told.items()
    }
    return report(QUESTION, values)


def ask_mlflow(folder: Path) -> dict[str, float]:
    return {question: s[0] for question, s in mlflow("ask", folder, JOB, "1").items()}


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
        (found / "analyzed").mkdir()
        shutil.copy(found / "mlflow.db", found / "analyzed")
        mlflow("analyze", found / "analyzed")
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
