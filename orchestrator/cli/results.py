"""launch-job results: one row a report, from the results store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click

from orchestrator.catalog import load_catalog
from orchestrator.cli.options import SinceType, limit_option, output_option, storage_option
from orchestrator.cli.table import print_table
from orchestrator.cli.terminal import ago, duration, fixed, percent, print_json
from orchestrator.spec import dataset_name
from orchestrator.storage import Storage


@click.command(
    epilog="\b\nExamples:\n  launch-job results\n  launch-job results --job lstm-mnist --since 7d"
    "\n  launch-job results -o json | jq '.[0].accuracy'"
)
@click.option("--job", help="Only of this job.")
@click.option("--dataset", help="Only on this dataset: a name, or a file.")
@click.option("--since", type=SinceType(), help="Only since then: 30m, 12h, 7d or 2026-11-01.")
@limit_option
@storage_option
@output_option
def results(
    job: str | None,
    dataset: str | None,
    since: datetime | None,
    limit: int,
    storage: Storage,
    output: str,
) -> None:
    """Show the results of runs in one table, newest first."""
    from orchestrator.results.rows import report_of_row
    from orchestrator.results.tables import ResultsStore
    from orchestrator.sources import SourceRequest

    if dataset is not None:
        dataset = SourceRequest(dataset=dataset).located(load_catalog()).dataset
    table = ResultsStore(storage=storage).reports(
        job=job, dataset=dataset, since=since, limit=limit
    )
    rows = table.to_pylist()
    if output == "json":
        print_json([report_of_row(row) for row in rows])
        return
    print_table(
        ("RUN", "JOB", "DATASET", ">WORKERS", ">ACCURACY", ">LOSS", ">ROWS/S", ">TOOK", "ASKED")
        + (("PARAMETERS",) if len({row["params"] for row in rows}) > 1 else ()),
        [_cells(row, rows) for row in rows],
        spare=("JOB", "ASKED", "WORKERS", "DATASET", "TOOK", "ROWS/S"),
        empty=f"No results in {storage.path} match.",
    )


def _cells(row: Mapping[str, Any], rows: list[dict[str, Any]]) -> list[str]:
    cells = [
        row["run_id"],
        row["job"],
        dataset_name(row["dataset"]),
        str(row["workers"]),
        percent(row["accuracy"]),
        fixed(row["loss"]),
        f"{row['train_rows_per_s']:,.0f}",
        duration(row["wall_s"]),
        ago(row["started_at"]),
    ]
    if len({other["params"] for other in rows}) > 1:
        params = json.loads(row["params"])
        cells.append(" ".join(f"{name}={value}" for name, value in params.items()))
    return cells
