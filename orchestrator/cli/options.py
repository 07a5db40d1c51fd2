"""Options that several verbs share."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click

from orchestrator.storage import DEFAULT_STORAGE, Storage

Command = TypeVar("Command", bound=Callable[..., Any])

_AGE = re.compile(r"(\d+)\s*([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class StorageType(click.ParamType[Storage]):
    """A storage's path or address."""

    name = "folder"

    def convert(self, value: Any, param: Any, ctx: Any) -> Storage:
        """Return the storage."""
        return value if isinstance(value, Storage) else Storage.at(value)


class SinceType(click.ParamType[datetime]):
    """A time: how long ago (`30m`, `12h`, `7d`), or a date (`2026-11-01`)."""

    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime:
        """Return the time."""
        if isinstance(value, datetime):
            return value
        try:
            if age := _AGE.fullmatch(value):
                return datetime.now(UTC) - timedelta(**{_UNITS[age[2]]: int(age[1])})
            then = datetime.fromisoformat(value)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a time; use 30m, 12h, 7d or 2026-11-01.", param, ctx)
        return then if then.tzinfo else then.replace(tzinfo=UTC)


def storage_option(command: Command) -> Command:
    """Add `--storage`."""
    return click.option(
        "--storage",
        type=StorageType(),
        default=DEFAULT_STORAGE,
        envvar="LAUNCH_JOB_STORAGE",
        show_default=True,
        show_envvar=True,
        help="Folder that runs, datasets and results are kept in.",
    )(command)


def output_option(command: Command) -> Command:
    """Add `-o table|json`."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "json"]),
        default="table",
        help="Tables for people, or JSON for programs.",
    )(command)


def limit_option(command: Command) -> Command:
    """Add `-l N`."""
    return click.option(
        "-l",
        "--limit",
        type=click.IntRange(min=1),
        default=20,
        show_default=True,
        help="Show at most so many.",
    )(command)


def run_argument(command: Command) -> Command:
    """Add the argument RUN."""
    return click.argument("run", shell_complete=_complete_run)(command)


def _complete_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    named = os.environ.get("LAUNCH_JOB_STORAGE") or DEFAULT_STORAGE
    storage = ctx.params.get("storage") or Storage.at(named)
    return [i for i in ["latest", *reversed(storage.run_ids())] if i.startswith(incomplete)]
