"""launch-job cluster: bring a cluster up and down through Ray's launcher, and look at it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.catalog.discovery import find_project
from orchestrator.cli import cluster_warm
from orchestrator.cli.options import output_option
from orchestrator.cli.table import print_table
from orchestrator.cli.terminal import chatter, print_json
from orchestrator.cluster.package import size_text
from orchestrator.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from orchestrator.cluster.cluster_file import ClusterFile
    from orchestrator.cluster.nodes import NodeSummary


@click.group()
def cluster() -> None:
    """Bring a cluster of machines up and down, with Ray's own launcher, and look at it.

    What it consists of stands in a cluster.yaml, as Ray's launcher reads it; unless one is named,
    the project's is taken. `start` and `stop` need none: they keep a Ray on this machine alone.
    """


def _file_argument(command: Any) -> Any:
    return click.argument("file", required=False, type=click.Path(path_type=Path))(command)


_VERBOSE = click.option("-v", "--verbose", is_flag=True, help="Show all that Ray's launcher says.")


@cluster.command(
    epilog="\b\nExamples:\n  launch-job cluster up\n  launch-job cluster up lab.yaml --tls"
)
@_file_argument
@click.option("--tls", is_flag=True, help="Encrypt Ray's traffic (`launch-job cluster certs`).")
@_VERBOSE
@output_option
def up(file: Path | None, tls: bool, verbose: bool, output: str) -> None:
    """Bring the cluster of FILE up, and wait until all machines have joined.

    Runs of the project go there from then on, until `launch-job cluster down`.
    """
    from orchestrator.cluster.upbringing import bring_up

    found = _read(file)
    with _at_work(verbose):
        standing, nodes = bring_up(found, tls=tls, tell=_tell, verbose=verbose)
    _print_nodes(nodes, output)
    if output == "table":
        chatter().print(f"{standing.name} is up. Runs of this project go there.", markup=False)
        chatter().print("Next  launch-job lstm-mnist --workers 4", style="dim", markup=False)
        chatter().print("      launch-job dashboard", style="dim", markup=False)


@cluster.command(epilog="\b\nExample:\n  launch-job cluster down")
@_file_argument
@_VERBOSE
def down(file: Path | None, verbose: bool) -> None:
    """Take the cluster of FILE down; no process of it is left on its machines."""
    from orchestrator.cluster.upbringing import take_down

    found = _read(file)
    with _at_work(verbose):
        take_down(found, tell=_tell, verbose=verbose)
    chatter().print(f"{found.name} is down.", markup=False)


@cluster.command(
    epilog="\b\nExamples:\n  launch-job cluster status\n  launch-job cluster status -o json"
)
@_file_argument
@output_option
def status(file: Path | None, output: str) -> None:
    """Show the machines of the cluster of FILE, and which of them are missing."""
    from orchestrator.cluster.nodes import list_nodes
    from orchestrator.cluster.standing import Standing

    found = _read(file)
    standing = Standing.find(found.path)
    if standing is None:
        raise UnavailableError(
            f"{found.name} was not brought up from this machine.",
            hint="`launch-job cluster up` brings it up.",
        )
    nodes = list_nodes(standing.dashboard())
    _print_nodes(nodes, output)
    missing = {*found.workers} - {node.address for node in nodes}
    if missing:
        chatter().print(
            f"Missing: {', '.join(sorted(missing))}. `launch-job cluster up` starts them.",
            style="yellow",
            markup=False,
        )


@cluster.command(epilog="\b\nExample:\n  launch-job cluster certs && launch-job cluster up --tls")
@_file_argument
def certs(file: Path | None) -> None:
    """Make certificates for the machines of FILE, for `launch-job cluster up --tls`."""
    from orchestrator.cluster.certificates import make_certificates

    found = _read(file)
    if not found.own_machines or found.head is None:
        raise UsageError(
            "Certificates name addresses; those of rented machines are not known beforehand.",
            hint="docs/clusters.md says how to have each of them make its own certificate.",
        )
    made = make_certificates(found.name, (found.head, *found.workers))
    click.echo(str(made.folder))


def _read(file: Path | None) -> ClusterFile:
    from orchestrator.cluster.cluster_file import ClusterFile

    if file is None:
        project = find_project(Path.cwd())
        if project is None:
            raise UsageError(
                "There is no cluster.yaml in this folder or above it.", hint="Name a file."
            )
        file = project / "cluster.yaml"
    return ClusterFile.read(file)


def _at_work(verbose: bool) -> contextlib.AbstractContextManager[Any]:
    """Show that Ray's launcher takes its time, unless it shows that itself."""
    if verbose:
        return contextlib.nullcontext()
    return chatter().status("Ray's launcher is at work …")


def _tell(text: str) -> None:
    chatter().print(text, style="dim", markup=False)


def _print_nodes(nodes: list[NodeSummary], output: str) -> None:
    if output == "json":
        print_json([node.to_dict() for node in nodes])
        return
    print_table(
        ("NODE", "ROLE", ">CPUS", ">GPUS", ">MEMORY"),
        [
            (
                node.address,
                "head" if node.head else "worker",
                f"{node.cpus:g}",
                f"{node.gpus:g}",
                size_text(node.memory_bytes),
            )
            for node in nodes
        ],
        empty="No machine is up.",
    )


cluster.add_command(cluster_warm.start)
cluster.add_command(cluster_warm.stop)
