"""launch-job jobs, launch-job datasets: what there is."""

from __future__ import annotations

from typing import Any

import click

from orchestrator.catalog import Job, load_catalog
from orchestrator.catalog.discovery import Shelf
from orchestrator.cli.options import output_option
from orchestrator.cli.table import print_table
from orchestrator.cli.terminal import chatter, print_json


@click.command(epilog="\b\nExamples:\n  launch-job jobs\n  launch-job jobs -o json")
@output_option
def jobs(output: str) -> None:
    """List what can be trained, with its parameters and defaults."""
    shelf = load_catalog().jobs
    _tell_broken(shelf)
    if output == "json":
        print_json([_job_values(job) for job in shelf.entries.values()])
        return
    rows = [
        (
            job.name,
            job.dataset,
            str(job.epochs),
            str(job.batch_size),
            " ".join(f"--{p.name.replace('_', '-')}={p.default}" for p in job.parameters),
            job.summary,
        )
        for job in sorted(shelf.entries.values(), key=lambda job: job.name)
    ]
    print_table(
        ("JOB", "DATASET", ">EPOCHS", ">BATCH", "PARAMETERS", "WHAT"),
        rows,
        spare=("BATCH", "EPOCHS"),
        empty="There are no jobs.",
    )


@click.command(epilog="\b\nExamples:\n  launch-job datasets\n  launch-job datasets -o json")
@output_option
def datasets(output: str) -> None:
    """List what jobs can be trained on."""
    shelf = load_catalog().datasets
    _tell_broken(shelf)
    entries = sorted(shelf.entries.values(), key=lambda dataset: dataset.name)
    if output == "json":
        print_json(
            [
                {"name": d.name, "summary": d.summary, "offline": d.offline, "file": str(d.path)}
                for d in entries
            ]
        )
        return
    rows = [(d.name, d.offline or "–", d.summary) for d in entries]
    print_table(("DATASET", "OFFLINE", "WHAT"), rows, empty="There are no datasets.")


def _job_values(job: Job) -> dict[str, Any]:
    return {
        "name": job.name,
        "summary": job.summary,
        "dataset": job.dataset,
        "epochs": job.epochs,
        "batch_size": job.batch_size,
        "parameters": [
            {
                "name": p.name,
                "type": p.kind.__name__,
                "default": p.default,
                "choices": list(p.choices),
                "bounds": p.bounds.given(),
                "help": p.help,
            }
            for p in job.parameters
        ],
        "file": str(job.path),
    }


def _tell_broken(shelf: Shelf[Any]) -> None:
    for error in shelf.broken.values():
        chatter().print(f"Can't be loaded: {error.message}", style="yellow", markup=False)
