"""launch-job results: what came out of all runs, from the results store."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.catalog import load_catalog
from orchestrator.cli.options import SinceType, limit_option, output_option, storage_option
from orchestrator.cli.table import print_table
from orchestrator.cli.terminal import chatter, print_json
from orchestrator.errors import UsageError
from orchestrator.figures import ago, duration, fixed, percent
from orchestrator.spec import dataset_name
from orchestrator.storage.atomic import write_atomic
from orchestrator.storage.storage import Storage

if TYPE_CHECKING:
    import pyarrow as pa


@click.group(
    invoke_without_command=True,
    epilog="\b\nExamples:\n  launch-job results\n  launch-job results --job lstm-mnist --since 7d"
    "\n  launch-job results -o json | jq '.[0].accuracy'"
    "\n  launch-job results --sql 'SELECT job, max(accuracy) FROM reports GROUP BY job'"
    "\n  launch-job results export --to csv --table metrics --file metrics.csv",
)
@click.option("--job", help="Only of this job.")
@click.option("--dataset", help="Only on this dataset: a name, or a file.")
@click.option("--since", type=SinceType(), help="Only since then: 30m, 12h, 7d or 2026-11-01.")
@click.option("--sql", metavar="SELECT", help="Answer a SELECT over runs, reports and metrics.")
@limit_option
@storage_option
@output_option
@click.pass_context
def results(
    ctx: click.Context,
    job: str | None,
    dataset: str | None,
    since: datetime | None,
    sql: str | None,
    limit: int,
    storage: Storage,
    output: str,
) -> None:
    """Show the results of runs in one table, newest first.

    They are Delta tables in the storage: `runs` has a row for each run that ended, `reports` for
    each that was evaluated, `metrics` for each epoch and every so many steps.
    """
    if ctx.invoked_subcommand is not None:
        ctx.obj = storage
        return
    if sql is not None:
        _check_alone(ctx, "sql", ("job", "dataset", "since", "limit"))
        _print_answer(storage, sql, output)
        return
    from orchestrator.results.rows import report_of_row
    from orchestrator.results.tables import SUMMARY, ResultsStore

    table = ResultsStore(storage=storage).reports(
        job=job,
        dataset=_located(dataset),
        since=since,
        limit=limit,
        columns=None if output == "json" else SUMMARY,
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
        empty=f"No results in {storage} match.",
    )


@results.command(
    epilog="\b\nExamples:\n  launch-job results export --to csv > reports.csv"
    "\n  launch-job results export --to parquet --table metrics --file metrics.parquet"
    "\n  launch-job results export --to json --sql 'SELECT run_id, accuracy FROM reports'"
)
@click.option(
    "--to", "kind", type=click.Choice(["csv", "parquet", "json"]), required=True, help="Format."
)
@click.option(
    "--table",
    type=click.Choice(["runs", "reports", "metrics"]),
    default="reports",
    show_default=True,
    help="What to write.",
)
@click.option("--sql", metavar="SELECT", help="Write the answer to a SELECT instead of a table.")
@click.option("--file", type=click.Path(path_type=Path, dir_okay=False), help="Where to write it.")
@storage_option
@click.pass_context
def export(
    ctx: click.Context, kind: Any, table: str, sql: str | None, file: Path | None, storage: Storage
) -> None:
    """Write a results table to a file, or to standard output."""
    from orchestrator.results.export import encode
    from orchestrator.results.tables import ResultsStore

    if kind == "parquet" and file is None and sys.stdout.isatty():
        raise UsageError("Parquet is not for a terminal.", hint="Name a file with --file.")
    if sql is not None:
        _check_alone(ctx, "sql", ("table",))
    if ctx.get_parameter_source("storage") is click.core.ParameterSource.DEFAULT:
        storage = ctx.obj  # It may have been named before the word `export`.
    store = ResultsStore(storage=storage)
    found = store.table(table) if sql is None else store.sql(sql)
    content = encode(found, kind)
    if file is None:
        sys.stdout.buffer.write(content)
        return
    write_atomic(file, content)
    chatter().print(f"{found.num_rows:,} rows: {file}", markup=False)


def _print_answer(storage: Storage, sql: str, output: str) -> None:
    from orchestrator.results.export import plain_rows
    from orchestrator.results.tables import ResultsStore

    answer = ResultsStore(storage=storage).sql(sql)
    if output == "json":
        print_json(plain_rows(answer))
        return
    print_table(
        [f"{'>' if _is_number(column.type) else ''}{column.name}" for column in answer.schema],
        [[_cell(value) for value in row.values()] for row in plain_rows(answer)],
        empty="No row matches.",
    )


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.6g}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else str(value)


def _check_alone(ctx: click.Context, name: str, others: tuple[str, ...]) -> None:
    """Refuse options that would be passed over."""
    given = [
        o for o in others if ctx.get_parameter_source(o) is not click.core.ParameterSource.DEFAULT
    ]
    if given:
        raise UsageError(
            f"--{given[0]} has no meaning with --{name}.", hint=f"Say it in the --{name} itself."
        )


def _located(dataset: str | None) -> str | None:
    """Return a dataset's name as reports have it."""
    from orchestrator.launching.sources import SourceRequest

    if dataset is None:
        return None
    return SourceRequest(dataset=dataset).located(load_catalog()).dataset


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
