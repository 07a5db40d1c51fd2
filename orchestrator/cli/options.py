"""Options that several verbs share."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click

from orchestrator.storage.storage import DEFAULT_STORAGE, Storage

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


class WorkersType(click.ParamType[tuple[int | None, int]]):
    """A number of workers (`4`), or the fewest and the most (`2:4`)."""

    name = "n|min:max"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int | None, int]:
        """Return the fewest, if they were named, and the most."""
        if isinstance(value, tuple):
            return value
        least, separator, most = str(value).partition(":")
        try:
            return (int(least), int(most)) if separator else (None, int(least))
        except ValueError:
            self.fail(f"{value!r} is not a number of workers; use 4, or 2:4.", param, ctx)


class CheckpointEveryType(click.ParamType[int | None]):
    """Steps between checkpoints, or `epoch`."""

    name = "steps|epoch"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | None:
        """Return the steps; None for epochs."""
        if value == "epoch" or isinstance(value, int):
            return None if value == "epoch" else value
        try:
            return int(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number of steps nor 'epoch'.", param, ctx)


class AddressType(click.ParamType[str | None]):
    """The address of a cluster; `local` means none."""

    name = "address"

    def convert(self, value: Any, param: Any, ctx: Any) -> str | None:
        """Return the address; None for a Ray of the run's own."""
        from orchestrator.cluster.address import LOCAL, check_address

        return None if value == LOCAL else check_address(value)


def standing_cluster_or_none() -> str | None:
    """Return the address of the project's cluster, if it was brought up from here."""
    from orchestrator.cluster.address import standing_cluster

    return standing_cluster()


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a run goes to a cluster."""

    #: Whether a cluster is accepted that lets everybody in.
    insecure: bool = False
    #: Whether the cluster is to install what the project's lock file names.
    install: bool = False
    #: Whether it is left there, and not followed.
    detach: bool = False


#: Options of what may go to a cluster.
cluster_options: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--address",
        type=AddressType(),
        envvar="RAY_ADDRESS",
        show_envvar=True,
        default=standing_cluster_or_none,
        help="Cluster to run on: http://HOST:8265, its dashboard; a cluster.yaml; on its head "
        "HOST:6379 or auto; local for a Ray of its own.  [default: the project's cluster.yaml, if "
        "`launch-job cluster up` has brought it up; else local]",
    ),
    click.option(
        "-d",
        "--detach",
        is_flag=True,
        help="Submit to the cluster and don't follow.",
    ),
    click.option(
        "--install",
        is_flag=True,
        help="Have the cluster install the project's requirements.lock for this run.",
    ),
    click.option(
        "--insecure", is_flag=True, help="Accept a cluster that lets everybody in, without a token."
    ),
)


def with_options(options: Sequence[Callable[[Any], Any]]) -> Callable[[Command], Command]:
    """Return a decorator that adds several options, in this order."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def storage_option(command: Command) -> Command:
    """Add `--storage`."""
    return click.option(
        "--storage",
        type=StorageType(),
        default=DEFAULT_STORAGE,
        envvar="LAUNCH_JOB_STORAGE",
        show_default=True,
        show_envvar=True,
        help="Folder, or address such as s3://bucket/path or gs://bucket/path, that runs, datasets "
        "and results are kept in.",
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


def optional_run_argument(command: Command) -> Command:
    """Add the argument RUN, which need not be there."""
    return click.argument("run", required=False, shell_complete=_complete_run)(command)


def runs_argument(command: Command) -> Command:
    """Add the argument RUN …."""
    return click.argument("runs", nargs=-1, metavar="[RUN]...", shell_complete=_complete_run)(
        command
    )


def schedule_argument(command: Command) -> Command:
    """Add the argument NAME of a schedule that is there."""
    return click.argument("name", shell_complete=_complete_schedule)(command)


def _complete_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    ids = _storage_so_far(ctx).run_ids()
    return [i for i in ["latest", *reversed(ids)] if i.startswith(incomplete)]


def _complete_schedule(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from orchestrator.schedule.shelf import Shelf

    names = Shelf(storage=_storage_so_far(ctx)).names()
    return [name for name in names if name.startswith(incomplete)]


def _storage_so_far(ctx: click.Context) -> Storage:
    """Return the storage that an unfinished command line names."""
    named = os.environ.get("LAUNCH_JOB_STORAGE") or DEFAULT_STORAGE
    storage: Storage = ctx.params.get("storage") or Storage.at(named)
    return storage
