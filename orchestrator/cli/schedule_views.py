"""launch-job schedule ls, show and next: what is due, and what became of what was."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice

import click

from orchestrator.cli.options import output_option, schedule_argument, storage_option
from orchestrator.cli.table import print_table
from orchestrator.cli.terminal import chatter, print_json
from orchestrator.errors import LaunchJobError
from orchestrator.schedule.account import (
    ScheduleAccount,
    TickAccount,
    account,
    ticks_so_far,
    ticks_to_come,
)
from orchestrator.schedule.definition import Schedule
from orchestrator.schedule.shelf import Shelf
from orchestrator.schedule.times import find_zone
from orchestrator.storage.storage import Storage

#: Ticks that `show` prints to people.
_SHOWN = 20


@click.command(epilog="\b\nExamples:\n  launch-job schedule ls\n  launch-job schedule ls -o json")
@storage_option
@output_option
def ls(storage: Storage, output: str) -> None:
    """List schedules, with next and last tick."""
    shelf, now = Shelf(storage=storage), datetime.now(UTC)
    log, found = shelf.log(), []
    for read in shelf.readable():
        try:
            if isinstance(read, LaunchJobError):
                raise read
            found.append(account(read, shelf, log, now))
        except LaunchJobError as err:
            chatter().print(f"Left out: {err.message}", style="yellow", markup=False)
    if output == "json":
        print_json([one.to_dict() for one in found])
        return
    print_table(
        ("SCHEDULE", "JOB", "WHEN", "NEXT", "LAST", "STATE"),
        [_row(one) for one in found],
        spare=("WHEN", "JOB"),
        empty=f"There are no schedules in {storage.path} yet. `launch-job schedule add --help`",
    )


def _row(one: ScheduleAccount) -> tuple[str, ...]:
    schedule = one.schedule
    return (
        schedule.name,
        schedule.job,
        schedule.when,
        "paused" if schedule.paused_at else _local(one.next_tick, schedule),
        _local(one.last.tick if one.last else None, schedule),
        one.last_state or "–",
    )


@click.command(
    epilog="\b\nExamples:\n  launch-job schedule show nightly"
    "\n  launch-job schedule show nightly -o json"
)
@schedule_argument
@click.option(
    "-l",
    "--limit",
    type=click.IntRange(min=1),
    help=f"Show at most so many ticks.  [default: {_SHOWN} in a table, all in JSON]",
)
@storage_option
@output_option
def show(name: str, limit: int | None, storage: Storage, output: str) -> None:
    """Show NAME, and what became of each tick. Newest first, and why."""
    shelf = Shelf(storage=storage)
    schedule, log = shelf.read(name), shelf.log()
    summary = account(schedule, shelf, log, datetime.now(UTC))
    if output == "json":
        ticks = islice(ticks_so_far(schedule, shelf, log), limit)
        print_json({**summary.to_dict(), "history": [tick.to_dict() for tick in ticks]})
        return
    _print_definition(summary)
    ticks = islice(ticks_so_far(schedule, shelf, log), limit or _SHOWN)
    print_table(
        ("TICK", "OUTCOME", "RUN", "STATE", "WHY"),
        [_tick_row(tick, schedule) for tick in ticks],
        spare=("STATE",),
        empty="It has had no tick yet.",
    )


def _print_definition(summary: ScheduleAccount) -> None:
    schedule = summary.schedule
    made_up = f"{schedule.misfire}, at most {schedule.catchup_limit}"
    facts = {
        "job": " ".join((schedule.job, *schedule.args)),
        "when": schedule.when,
        "next": "paused" if schedule.paused_at else _local(summary.next_tick, schedule),
        "overlap": schedule.overlap,
        "misfire": made_up if schedule.misfire == "all" else schedule.misfire,
        "retries": str(schedule.retries),
        "folder": schedule.folder,
    }
    for key, value in facts.items():
        click.echo(f"{key:<8} {value}")
    click.echo()


def _tick_row(tick: TickAccount, schedule: Schedule) -> tuple[str, ...]:
    return (
        _local(tick.tick, schedule),
        tick.outcome,
        tick.run_id or "–",
        tick.state or "–",
        tick.why,
    )


@click.command(
    "next",
    epilog="\b\nExamples:\n  launch-job schedule next nightly"
    "\n  launch-job schedule next nightly -n 10 -o json",
)
@schedule_argument
@click.option(
    "-n", "number", type=click.IntRange(min=1), default=5, show_default=True, help="How many."
)
@storage_option
@output_option
def next_ticks(name: str, number: int, storage: Storage, output: str) -> None:
    """Show the next ticks of NAME. In its time zone."""
    shelf = Shelf(storage=storage)
    schedule = shelf.read(name)
    zone = find_zone(schedule.timezone)
    ticks = [
        tick.astimezone(zone)
        for tick in islice(ticks_to_come(schedule, shelf.log(), datetime.now(UTC)), number)
    ]
    if output == "json":
        print_json([tick.isoformat() for tick in ticks])
        return
    for tick in ticks:
        click.echo(f"{tick:%a} {tick.isoformat(sep=' ')}")
    if not ticks:
        chatter().print(f"Schedule {name} has no tick any more: it ended at {schedule.end}.")
    elif schedule.paused_at:
        chatter().print("It is paused: they are skipped until it is resumed.")


def _local(tick: datetime | None, schedule: Schedule) -> str:
    if tick is None:
        return "–"
    return f"{tick.astimezone(find_zone(schedule.timezone)):%Y-%m-%d %H:%M:%S%z}"
