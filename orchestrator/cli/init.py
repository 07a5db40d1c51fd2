"""launch-job init [DIR]: a project of one's own, with something in it that trains."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from orchestrator.cli.terminal import chatter


@click.command(epilog="\b\nExamples:\n  launch-job init\n  launch-job init my-project")
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), default=".")
def init(folder: Path) -> None:
    """Write a small project to DIR (default: the working folder).

    It has a job, a dataset that the job learns, a test, and a cluster.yaml. No file that exists is
    overwritten.
    """
    from orchestrator.catalog.template import write_project

    written = write_project(folder)
    for path in written:
        click.echo(path)
    there = [] if folder.resolve() == Path.cwd() else [f"cd {shlex.quote(str(folder))}"]
    chatter().print("\nNext:")
    jobs = [path.stem.replace("_", "-") for path in written if path.parent.name == "jobs"]
    trained = [f"launch-job {job} --workers 2" for job in jobs]
    for command in (*there, *trained, "python -m pytest"):
        chatter().print(f"  {command}", markup=False)
