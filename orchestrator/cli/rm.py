"""launch-job rm RUN: a run's folder goes; what came out of it stays in the tables."""

from __future__ import annotations

import sys

import click

from orchestrator.cli.options import storage_option
from orchestrator.cli.terminal import chatter
from orchestrator.cluster.package import size_text
from orchestrator.errors import UsageError
from orchestrator.results.runs import summarise
from orchestrator.storage.run_folder import RunFolder
from orchestrator.storage.storage import Storage


@click.command(epilog="\b\nExamples:\n  launch-job rm latest\n  launch-job rm -y 4f2a1c 77ab02")
@click.argument("runs", nargs=-1, required=True)
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@storage_option
def rm(runs: tuple[str, ...], yes: bool, storage: Storage) -> None:
    """Remove RUNS: their checkpoints, models, logs and reports.

    Their rows in the results tables stay. A run that goes on is not removed.
    """
    from orchestrator.results.removal import remove_run

    folders = [storage.find_run(run) for run in runs]
    for folder in folders:
        _check_at_rest(folder)
    sizes = {folder.run_id: size_text(folder.size_bytes()) for folder in folders}
    if not yes:
        _ask(sizes)
    for folder in folders:
        remove_run(folder)
        chatter().print(f"Removed {folder.run_id}: {sizes[folder.run_id]}", markup=False)


def _check_at_rest(folder: RunFolder) -> None:
    state = summarise(folder).state
    if state is not None and not state.finished:
        raise UsageError(
            f"Run {folder.run_id} is {state.value}: it can't be removed.",
            hint=f"`launch-job stop {folder.run_id}` stops it.",
        )


def _ask(sizes: dict[str, str]) -> None:
    if not sys.stdin.isatty():
        raise UsageError("Nobody can be asked here.", hint="-y removes without asking.")
    for run_id, size in sizes.items():
        chatter().print(f"{run_id}  {size}", markup=False)
    click.confirm("Remove?", abort=True, err=True)
