"""What the command line prints with: colour on a terminal, plain text in a pipe.

Data goes to standard output, everything else to standard error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

import click

from orchestrator.storage.atomic import finite

if TYPE_CHECKING:
    from rich.console import Console


@cache
def chatter() -> Console:
    """Return the console for people: standard error."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


@cache
def output() -> Console:
    """Return the console for data: standard output."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def print_json(value: object) -> None:
    """Print data as JSON; a number that JSON has no word for, such as a loss of NaN, is null."""
    click.echo(json.dumps(finite(value), indent=2, ensure_ascii=False, allow_nan=False))


def show_in_browser(address: str) -> None:
    """Open a page in the user's browser, or say that there is none."""
    import webbrowser

    if not webbrowser.open(address):
        chatter().print("There is no browser here to open it.", style="yellow")


#: Colours of the states of a run.
STATE_STYLES: Mapping[str, str] = {
    "SUCCEEDED": "green",
    "RUNNING": "cyan",
    "PREPARING": "cyan",
    "QUEUED": "cyan",
    "FAILED": "red",
    "STOPPED": "yellow",
    "LOST": "magenta",
    # And of a doctor's findings.
    "ok": "green",
    "warn": "yellow",
    "fail": "red",
}
