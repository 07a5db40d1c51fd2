"""Whether a run that was struck ended as it should."""

from __future__ import annotations

import json
import subprocess
import sys

from world import EPOCHS, World

COUNT = (
    "import json, os; from orchestrator.results.tables import ResultsStore; "
    "from orchestrator.storage.storage import Storage; "
    "store = ResultsStore(storage=Storage.at(os.environ['LAUNCH_JOB_STORAGE'])); "
    "rows = store.table('metrics').to_pylist(); "
    "print(json.dumps([[store.table(n).num_rows for n in ('runs', 'reports')], "
    "[[row['epoch'], row['step']] for row in rows]]))"
)


def complaints(world: World, weights: bytes) -> list[str]:
    """Return what is wrong with a run that says it has succeeded."""
    found = []
    if world.weights() != weights:
        found.append("other weights than an undisturbed run's")
    counted = subprocess.run(
        [sys.executable, "-c", COUNT], env=world.environment, capture_output=True, check=True
    )
    rows, places = json.loads(counted.stdout)
    if rows != [1, 1]:
        found.append(f"rows in the tables runs and reports: {rows}")
    every = list(range(1, EPOCHS + 1))
    # The whole of an epoch has no step; between its rows are those of steps.
    if sorted(epoch for epoch, step in places if step is None) != every:
        found.append("the table of metrics has an epoch twice, or lacks one")
    if len(set(map(tuple, places))) != len(places):
        found.append("the table of metrics has a step twice")
    logged = [e["epoch"] for e in world.events() if e["event"] == "epoch"]
    if logged != every:
        found.append(f"epochs in events.jsonl: {logged}")
    report = world.report() or {}
    if [e["epoch"] for e in report.get("history", [])] != every:
        found.append("the report's history has a gap or a repetition")
    if sum(map(sum, report.get("confusion_matrix", []))) != 360:
        found.append("not every test row was counted once")
    return found


def named(world: World) -> str | None:
    """Return the cause of a failure that its report names, or None."""
    error = (world.report() or {}).get("error") or {}
    cause = error.get("cause") or error.get("kind")
    return cause if cause and error.get("message") else None
