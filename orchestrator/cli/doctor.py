"""launch-job doctor: what keeps this machine, or a cluster, from running a job."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from orchestrator.catalog.discovery import find_project
from orchestrator.cli.options import (
    AddressType,
    output_option,
    standing_cluster_or_none,
    storage_option,
)
from orchestrator.cli.table import print_table
from orchestrator.cli.terminal import chatter, print_json
from orchestrator.cluster.condition import Condition, measure
from orchestrator.cluster.doctor import Finding, examine_here, examine_nodes, worst
from orchestrator.errors import LaunchJobError
from orchestrator.storage.storage import Storage


@click.command(
    epilog="\b\nExamples:\n  launch-job doctor\n  launch-job doctor --address http://10.0.0.5:8265"
    "\n  launch-job doctor -o json"
)
@click.option(
    "--address",
    type=AddressType(),
    envvar="RAY_ADDRESS",
    show_envvar=True,
    default=standing_cluster_or_none,
    help="A cluster to look at as well.  [default: the project's cluster.yaml, if it is up]",
)
@click.option("--insecure", is_flag=True, help="Don't mind a cluster that lets everybody in.")
@storage_option
@output_option
def doctor(address: str | None, insecure: bool, storage: Storage, output: str) -> int:
    """Look at what runs need, here and on every node of a cluster; the exit code is 1 if it lacks.

    Each line is ok, warn or fail, and says what mends it.
    """
    here = measure(str(storage.path), None)
    findings = examine_here(here, storage=str(storage.path))
    if address is not None:
        with chatter().status("Looking at the cluster's nodes …"):
            findings += _examine_cluster(address, here, storage, insecure=insecure)
    if output == "json":
        print_json([found.to_dict() for found in findings])
    else:
        print_table(
            ("CHECK", "STATE", "FOUND", "MEND"),
            [(found.name, found.verdict, found.what, found.mend) for found in findings],
            empty="",
        )
    return 1 if worst(findings) == "fail" else 0


def _examine_cluster(
    address: str, here: Condition, storage: Storage, *, insecure: bool
) -> list[Finding]:
    """Judge a cluster; that it can't be reached is a finding too."""
    from orchestrator.cluster.address import find_dashboard
    from orchestrator.cluster.examination import examine
    from orchestrator.cluster.jobs import JobsApi
    from orchestrator.cluster.package import list_package

    try:
        jobs = JobsApi(find_dashboard(address), insecure=insecure)
        project = find_project(Path.cwd())
        with tempfile.TemporaryDirectory() as folder:
            archive = Path(folder) / "project.zip" if project else None
            if project and archive:
                list_package(project).write(archive)
            nodes, skews_s = examine(jobs, storage, archive)
    except LaunchJobError as err:
        return [
            Finding(name="cluster", verdict="fail", what=err.message, mend=err.hint or ""),
            *(Finding(name="", verdict="fail", what=line) for line in err.details[-3:]),
        ]
    reached = Finding(name="cluster", verdict="ok", what=f"{jobs.url} answers, with a token")
    return [reached, *examine_nodes(here, nodes, skews_s)]
