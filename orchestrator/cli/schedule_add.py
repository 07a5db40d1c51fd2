"""launch-job schedule add and apply: what is to run when, from the command line or a file."""

from __future__ import annotations

import contextlib
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import click

from orchestrator.cli.options import output_option, storage_option
from orchestrator.cli.run import check_run
from orchestrator.cli.terminal import chatter, print_json
from orchestrator.errors import UsageError
from orchestrator.schedule.definition import Misfire, Overlap, Schedule
from orchestrator.schedule.file import Change, Entry, apply_changes, find_changes, read_file
from orchestrator.schedule.notice import check_target
from orchestrator.schedule.shelf import Shelf
from orchestrator.schedule.times import find_zone, parse_interval
from orchestrator.storage.storage import Storage


class IntervalType(click.ParamType[int]):
    """An interval: `90s`, `6h`, `1h30m`."""

    name = "interval"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Return its seconds."""
        if isinstance(value, int):
            return value
        return parse_interval(value, what=param.opts[-1])


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    epilog="\b\nExamples:"
    "\n  launch-job schedule add nightly lstm-mnist --cron '0 2 * * *' --workers 4"
    "\n  launch-job schedule add often cnn-mnist --every 6h --epochs 2 --overlap queue"
    "\n  launch-job schedule add weekly cnn-mnist --cron @weekly --timezone Europe/Berlin"
    "\n  launch-job schedule add nightly lstm-mnist --cron @daily --notify https://example.org/hook",
)
@click.argument("name")
@click.argument("job")
@click.option("--cron", help="When: minute, hour, day, month, weekday; or @daily and the like.")
@click.option("--every", "every_s", type=IntervalType(), help="When: an interval such as 6h.")
@click.option(
    "--timezone", default="UTC", show_default=True, help="Zone of --cron, such as Europe/Berlin."
)
@click.option("--start", help="First moment for a tick, such as 2026-12-01 or 2026-12-01T06:00.")
@click.option("--end", help="Last moment for a tick.")
@click.option(
    "--jitter",
    "jitter_s",
    type=IntervalType(),
    default="0s",
    show_default=True,
    help="Fire up to so much later, each tick by an amount of its own.",
)
@click.option(
    "--overlap",
    type=click.Choice(get_args(Overlap)),
    default="skip",
    show_default=True,
    help="While a run is not over: leave the tick out, wait, stop that run, or run beside it.",
)
@click.option(
    "--misfire",
    type=click.Choice(get_args(Misfire)),
    default="latest",
    show_default=True,
    help="Of ticks that nobody fired in time: make up for none, for the latest, or for all.",
)
@click.option(
    "--catchup-limit",
    type=int,
    default=10,
    show_default=True,
    help="Most ticks that are made up for, and most that wait in a queue.",
)
@click.option(
    "--retries",
    type=int,
    default=3,
    show_default=True,
    help="Failures of workers after which a run goes on, as of any run; and as often it is taken "
    "up again where its process was killed, or cluster or data could not be had.",
)
@click.option(
    "--notify",
    multiple=True,
    help="Tell when a run has ended: an address that gets JSON in a POST, or a command that gets "
    "it on its standard input; repeatable.",
)
@click.option("--cluster-up", is_flag=True, help="Run `cluster up` before each run.")
@click.option("--cluster-down", is_flag=True, help="Run `cluster down` after each run.")
@storage_option
@click.pass_context
def add(ctx: click.Context, /, name: str, job: str, storage: Storage, **wanted: Any) -> None:
    """Run JOB at times, under a NAME.

    Takes any option that a run of JOB takes; `launch-job JOB --help` shows those. A job's parameter
    that is called like an option here goes behind `--`. `launch-job schedule start` fires what is
    due.
    """
    schedule = _schedule(ctx, folder=Path.cwd(), source=None)
    Shelf(storage=storage).add(schedule)
    first = next(schedule.ticks(schedule.since)).astimezone(find_zone(schedule.timezone))
    chatter().print(f"Schedule {name}: {job}, {schedule.when}; first at {first}.", markup=False)
    chatter().print("`launch-job schedule start` fires it.", markup=False)


@click.command(
    epilog="\b\nExamples:\n  launch-job schedule apply --dry-run"
    "\n  launch-job schedule apply -f project/schedules.yaml"
)
@click.option(
    "-f",
    "--file",
    "path",
    type=click.Path(path_type=Path),
    default="schedules.yaml",
    show_default=True,
    help="File with the schedules; its folder is where their runs start.",
)
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@storage_option
@output_option
def apply(path: Path, dry_run: bool, storage: Storage, output: str) -> None:
    """Bring schedules to what a file says.

    Adds, changes and removes those that come from it. What was applied already changes nothing.
    Schedules that were added by hand are left alone.
    """
    path, shelf = path.absolute(), Shelf(storage=storage)
    wanted = [_of_entry(entry) for entry in read_file(path)]
    changes = find_changes(wanted, shelf, str(path))
    if not dry_run:
        if changes:
            storage.check_writable()
        apply_changes(changes, shelf)
    if output == "json":
        print_json([change.to_dict() for change in changes])
        return
    for change in changes:
        _print_change(change)
    if not changes:
        chatter().print("Nothing changes.")
    elif dry_run:
        chatter().print("Nothing was changed: this was a dry run.")


def _of_entry(entry: Entry) -> Schedule:
    """Return the schedule of a file's entry.

    Raises:
        UsageError: A key or a value can't be; its place is named.
    """
    try:
        with add.make_context("launch-job schedule add", entry.words()) as ctx:
            return _schedule(ctx, folder=entry.path.parent, source=str(entry.path))
    except click.ClickException as err:
        message, hint = err.format_message(), None
    except UsageError as err:
        message, hint = err.message, err.hint
    raise UsageError(f"{entry.where(message)}: {message}", hint=hint)


def _print_change(change: Change) -> None:
    sign, colour = {"add": ("+", "green"), "change": ("~", "yellow"), "remove": ("-", "red")}[
        change.action
    ]
    what = f": {change.wanted.job}, {change.wanted.when}" if change.wanted else ""
    click.secho(f"{sign} {change.name}{what if change.action == 'add' else ''}", fg=colour)
    for key, (was, will) in change.fields.items():
        click.echo(f"    {key}: {_shown(was)} → {_shown(will)}")


def _shown(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value)) or "–"
    return "–" if value is None else str(value)


def _schedule(ctx: click.Context, *, folder: Path, source: str | None) -> Schedule:
    """Return the checked schedule that a command line of `add` asks for.

    Raises:
        UsageError: An option of it, or of its runs, can't be.
    """
    given = {key: value for key, value in ctx.params.items() if key != "storage"}
    zone = find_zone(given["timezone"])
    for key in ("start", "end"):
        given[key] = _moment(given[key], zone, f"--{key}")
    given["notify"] = tuple(check_target(target) for target in given["notify"])
    schedule = Schedule(
        **given,
        args=tuple(ctx.args),
        folder=str(folder),
        source=source,
        key=f"{given['name']}~{secrets.token_hex(4)}",
        since=datetime.now(UTC).replace(microsecond=0),
    )
    with contextlib.chdir(folder):
        check_run(schedule.job, schedule.args)
    return schedule


def _moment(text: str | None, zone: ZoneInfo, option: str) -> datetime | None:
    """Return a moment in UTC; without an offset it is meant in the schedule's zone.

    Raises:
        UsageError: It is none.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as err:
        raise UsageError(
            f"{option} can't be {text!r}.", hint="Use 2026-12-01, or 2026-12-01T06:00."
        ) from err
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
