"""MLflow's store of runs, on SQLite: filled with runs, written to, and asked.

It runs in an environment of its own (benchmarks/mlflow_peer.py) and reads runs as JSON lines, as
`run_values` there writes them. MLflow is used as it is fastest: one batch for all metrics,
parameters and tags of a run, and a client that is warm.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag


def client_of(folder: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")


def experiment(client: MlflowClient, folder: Path, job: str) -> str:
    found = client.get_experiment_by_name(job)
    if found is not None:
        return str(found.experiment_id)
    return str(client.create_experiment(job, artifact_location=(folder / "artifacts").as_uri()))


def record(client: MlflowClient, experiment_id: str, run: dict[str, Any]) -> None:
    """Write a run as its author would: once, with all there is."""
    made = client.create_run(experiment_id, start_time=run["start"], run_name=run["run_id"])
    metrics = [Metric(key, value, run["end"], step) for key, value, step in run["metrics"]]
    params = [Param(key, value) for key, value in run["params"].items()]
    tags = [RunTag(key, value) for key, value in run["tags"].items()]
    client.log_batch(made.info.run_id, metrics, params, tags)
    client.log_dict(made.info.run_id, run["report"], "report.json")
    client.set_terminated(made.info.run_id)


def write(folder: Path, source: Path) -> None:
    """Print the seconds that each run of a file took to be written."""
    client = client_of(folder)
    runs = [json.loads(line) for line in source.read_text().splitlines()]
    ids = {run["job"]: experiment(client, folder, run["job"]) for run in runs}
    record(client, ids[runs[0]["job"]], runs[0])
    seconds = []
    for run in runs:
        began = time.perf_counter()
        record(client, ids[run["job"]], run)
        seconds.append(time.perf_counter() - began)
    print(json.dumps({"seconds": seconds}))


def fill(folder: Path, source: Path) -> None:
    """Put the runs of a file into the database by SQL: through the client it would take hours."""
    client = client_of(folder)
    with source.open() as file:
        runs = [json.loads(line) for line in file]
    ids = {job: experiment(client, folder, job) for job in {run["job"] for run in runs}}
    with sqlite3.connect(folder / "mlflow.db") as database:
        put = database.executemany
        put(
            "INSERT INTO runs (run_uuid, name, source_type, user_id, status, start_time, end_time, "
            "lifecycle_stage, artifact_uri, experiment_id) "
            "VALUES (?, ?, 'LOCAL', 'me', 'FINISHED', ?, ?, 'active', ?, ?)",
            [
                (r["run_id"], r["run_id"], r["start"], r["end"], f"file:///{i}", ids[r["job"]])
                for i, r in enumerate(runs)
            ],
        )
        for table, rows in (("params", "params"), ("tags", "tags")):
            put(
                f"INSERT INTO {table} (run_uuid, key, value) VALUES (?, ?, ?)",
                [(r["run_id"], key, value) for r in runs for key, value in r[rows].items()],
            )
        put(
            "INSERT INTO metrics (run_uuid, key, value, timestamp, step, is_nan) "
            "VALUES (?, ?, ?, ?, ?, 0)",
            ((r["run_id"], k, v, r["end"], step) for r in runs for k, v, step in r["metrics"]),
        )
        put(
            "INSERT INTO latest_metrics (run_uuid, key, value, timestamp, step, is_nan) "
            "VALUES (?, ?, ?, ?, ?, 0)",
            (
                (r["run_id"], key, value, r["end"], step)
                for r in runs
                for key, (value, step) in {k: (v, s) for k, v, s in r["metrics"]}.items()
            ),
        )
    database.close()


def analyze(folder: Path) -> None:
    """Give SQLite statistics, as MLflow doesn't: with them it sorts runs by a metric far sooner."""
    with sqlite3.connect(folder / "mlflow.db") as database:
        database.execute("ANALYZE")
    database.close()


def ask(folder: Path, job: str, rounds: int) -> None:
    """Print the seconds that each question took, round by round."""
    client = client_of(folder)
    ids = [experiment(client, folder, job)]

    def newest() -> None:
        client.search_runs(ids, order_by=["attributes.start_time DESC"], max_results=20)

    def best(number: int) -> Any:
        order = ["metrics.test_accuracy DESC"]
        return client.search_runs(ids, order_by=order, max_results=number)

    def compare() -> None:
        for run in best(2):
            for key in ("loss", "accuracy"):
                client.get_metric_history(run.info.run_id, key)

    found: dict[str, list[float]] = {}
    for _ in range(rounds + 1):
        for name, question in (
            ("newest", newest),
            ("best", lambda: best(20)),
            ("compare", compare),
        ):
            began = time.perf_counter()
            question()
            found.setdefault(name, []).append(time.perf_counter() - began)
    # The first round fills caches.
    print(json.dumps({name: seconds[1:] for name, seconds in found.items()}))


if __name__ == "__main__":
    what, folder, *rest = sys.argv[1:]
    if what == "ask":
        ask(Path(folder), rest[0], int(rest[1]))
    elif what == "analyze":
        analyze(Path(folder))
    else:
        {"write": write, "fill": fill}[what](Path(folder), Path(rest[0]))
