"""launch-job schedule: the group, and the verbs that change or fire a schedule."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from orchestrator.cli.export import export
from orchestrator.cli.options import schedule_argument, storage_option
from orchestrator.cli.schedule_add import add, apply
from orchestrator.cli.schedule_views import ls, next_ticks, show
from orchestrator.cli.terminal import chatter
from orchestrator.errors import RunFailedError, StoppedError, UsageError
from orchestrator.schedule.keeper import Keeper
from orchestrator.schedule.shelf import Shelf
from orchestrator.schedule.timeline import fire_now, settle
from orchestrator.states import RunState
from orchestrator.storage.storage import Storage


@click.group(
    epilog="\b\nExamples:"
    "\n  launch-job schedule add nightly lstm-mnist --cron '0 2 * * *' --timezone Europe/Berlin"
    "\n  launch-job schedule start"
    "\n  launch-job schedule ls"
    "\n  launch-job schedule show nightly"
)
def schedule() -> None:
    """Run jobs at times: nightly, hourly, by cron line or interval.

    `schedule start` is the loop that fires what is due. What became of each tick, and why, is
    recorded; each fires once, however many loops there are and whenever they die.
    """


for command in (add, apply, ls, show, next_ticks, export):
    schedule.add_command(command)


@schedule.command(epilog="\b\nExample:\n  launch-job schedule pause nightly")
@schedule_argument
@storage_option
def pause(name: str, storage: Storage) -> None:
    """Have NAME skip its ticks from now on. A run that goes on is left alone."""
    changed = Shelf(storage=storage).pause(name, at=datetime.now(UTC))
    was = "is paused" if changed else "was paused already"
    chatter().print(f"Schedule {name} {was}; `launch-job schedule resume {name}` goes on.")


@schedule.command(epilog="\b\nExample:\n  launch-job schedule resume nightly")
@schedule_argument
@storage_option
def resume(name: str, storage: Storage) -> None:
    """Let NAME go on after a pause. The ticks in between stay skipped."""
    shelf = Shelf(storage=storage)
    paused = shelf.read(name)
    if paused.paused_at is None:
        chatter().print(f"Schedule {name} was not paused.")
        return
    # Where no loop was running, nobody has recorded yet that they were skipped.
    settle(paused, shelf.log(), shelf.endings(name), datetime.now(UTC))
    shelf.pause(name, at=None)
    chatter().print(f"Schedule {name} goes on.")


@schedule.command(epilog="\b\nExample:\n  launch-job schedule rm nightly")
@schedule_argument
@storage_option
def rm(name: str, storage: Storage) -> None:
    """Remove NAME and its history. Its runs stay, and one that goes on is left alone."""
    Shelf(storage=storage).remove(name)
    chatter().print(f"Removed schedule {name}.")


@schedule.command(epilog="\b\nExample:\n  launch-job schedule run nightly")
@schedule_argument
@storage_option
def run(name: str, storage: Storage) -> None:
    """Fire NAME now, and follow its run.

    Whatever is due, and whatever goes on. The exit code is the run's.
    """
    shelf = Shelf(storage=storage)
    wanted, endings = shelf.read(name), shelf.endings(name)
    outcome = fire_now(wanted, shelf.log(), endings, datetime.now(UTC))
    ending = Keeper(
        schedule=wanted, outcome=outcome, endings=endings, storage=storage, foreground=True
    ).keep()
    if ending is None or ending.state is RunState.SUCCEEDED:
        return
    if ending.state is RunState.STOPPED:
        raise StoppedError(f"Run {outcome.run_id} was stopped.")
    raise RunFailedError(
        f"Run {outcome.run_id} {ending.state or 'could not start'}: {ending.why}",
        hint=f"`launch-job schedule show {name}` tells more.",
    )


@schedule.command(epilog="\b\nExample:\n  launch-job schedule start --storage /shared/runs")
@storage_option
def start(storage: Storage) -> None:
    """Fire what is due, until SIGTERM or Ctrl-C.

    Runs that go on then are left alone. Prints a line of JSON for each thing that happens. Several
    may run at once, on one machine or on many: each tick still fires once.
    """
    from orchestrator.schedule.service import Service

    storage.check_writable()
    Service(storage).serve()


@schedule.command(hidden=True)
@click.argument("name")
@click.argument("run_id")
@storage_option
def keep(name: str, run_id: str, storage: Storage) -> None:
    """Look after the run of a tick that was fired."""
    shelf = Shelf(storage=storage)
    wanted, endings = shelf.read(name), shelf.endings(name)
    for entry in shelf.log().entries(wanted.key):
        for outcome in entry.open:
            if outcome.run_id == run_id:
                Keeper(schedule=wanted, outcome=outcome, endings=endings, storage=storage).keep()
                return
    raise UsageError(f"Schedule {name} has fired no tick with a run {run_id}.")
