"""What the command line prints with: colour on a terminal, plain text in a pipe.

Data goes to standard output, everything else to standard error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import click

from orchestrator.atomic import finite

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


def duration(seconds: float) -> str:
    """Return seconds as people say them: `8.4 s`, `3 m 20 s`, `2 h 05 m`."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} m"


def ago(then: datetime, now: datetime | None = None) -> str:
    """Return how long ago something was: `5 min ago`, or its date after a week."""
    seconds = ((now or datetime.now(UTC)) - then).total_seconds()
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit} ago" if unit != "d" or count < 8 else then.date().isoformat()
    return "just now"


def percent(part: float | None) -> str:
    """Return a part as a percentage, or a dash."""
    return "–" if part is None else f"{100 * part:.2f}%"


def fixed(value: Any, digits: int = 4) -> str:
    """Return a number with a fixed number of digits, or a dash."""
    return "–" if value is None else f"{value:.{digits}f}"
