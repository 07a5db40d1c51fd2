"""launch-job dashboard: where the Ray dashboard of a cluster is, through a tunnel if need be."""

from __future__ import annotations

import contextlib
import signal

import click

from orchestrator.cli.options import AddressType, standing_cluster_or_none
from orchestrator.cli.terminal import chatter, show_in_browser
from orchestrator.errors import UsageError


@click.command(
    epilog="\b\nExamples:\n  launch-job dashboard\n  launch-job dashboard --open"
    "\n  launch-job dashboard --address http://10.0.0.5:8265"
)
@click.option(
    "--address",
    type=AddressType(),
    envvar="RAY_ADDRESS",
    show_envvar=True,
    default=standing_cluster_or_none,
    help="The cluster, as for runs.  [default: the project's cluster.yaml]",
)
@click.option("--open", "open_", is_flag=True, help="Open it in the browser.")
def dashboard(address: str | None, open_: bool) -> None:
    """Print the address of a cluster's dashboard; where it takes an ssh tunnel, keep that open.

    The dashboard asks for the token that runs are submitted with.
    """
    from orchestrator.cluster.address import find_dashboard, needs_tunnel
    from orchestrator.cluster.nodes import list_nodes
    from orchestrator.cluster.token import token_path

    if address is None:
        raise UsageError(
            "Which cluster? None was named, and this project's was not brought up from here.",
            hint="A run with a Ray of its own prints where its dashboard is.",
        )
    url = find_dashboard(address)
    list_nodes(url)
    click.echo(url)
    chatter().print(f"Its token: {token_path()}", style="dim", markup=False)
    if open_:
        show_in_browser(url)
    if needs_tunnel(address):
        chatter().print("The tunnel stays open until Ctrl-C.", style="dim")
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
