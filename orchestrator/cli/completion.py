"""launch-job completion: the shell's script that completes commands, options and runs."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command(epilog='\b\nExample:\n  eval "$(launch-job completion bash)"')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that makes SHELL complete launch-job's commands."""
    from orchestrator.cli.main import cli

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(cli, {}, "launch-job", "_LAUNCH_JOB_COMPLETE").source())
