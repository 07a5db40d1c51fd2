"""launch-job ls: the runs of a storage."""

from __future__ import annotations

import click

from orchestrator.cli.options import limit_option, output_option, storage_option
from orchestrator.cli.table import print_table
from orchestrator.cli.terminal import chatter, print_json
from orchestrator.figures import ago, duration, percent
from orchestrator.results.runs import RunSummary, list_runs
from orchestrator.spec import dataset_name
from orchestrator.storage.storage import Storage


@click.command(
    epilog="\b\nExamples:\n  launch-job ls\n  launch-job ls -l 5 -o json"
    "\n  launch-job ls -a | grep FAILED"
)
@limit_option
@click.option("-a", "--all", "everything", is_flag=True, help="Show all, however many.")
@storage_option
@output_option
def ls(limit: int, everything: bool, storage: Storage, output: str) -> None:
    """List runs, newest first."""
    runs = list_runs(
        storage,
        limit=None if everything else limit,
        on_unreadable=lambda error: chatter().print(
            f"Left out: {error.message}", style="yellow", markup=False
        ),
    )
    if output == "json":
        print_json([run.to_dict() for run in runs])
        return
    heads = (
        "RUN",
        "NAME",
        "DATASET",
        ">WORKERS",
        "STATE",
        ">EPOCHS",
        ">ACCURACY",
        ">TOOK",
        "ASKED",
    )
    print_table(
        heads if any(run.name for run in runs) else [h for h in heads if h != "NAME"],
        [_row(run, named=any(run.name for run in runs)) for run in runs],
        spare=("DATASET", "WORKERS", "TOOK", "ACCURACY"),
        empty=f"There are no runs in {storage} yet. `launch-job --help` lists the jobs.",
    )


def _row(run: RunSummary, *, named: bool) -> list[str]:
    return [
        run.run_id,
        *([run.name or "–"] if named else []),
        dataset_name(run.dataset),
        str(run.workers),
        run.state.value if run.state else "–",
        f"{run.epochs_done}/{run.epochs}",
        percent(run.accuracy),
        duration(run.wall_s),
        ago(run.started_at),
    ]
