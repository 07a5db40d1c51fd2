"""launch-job stop RUN: a run writes a checkpoint and ends."""

from __future__ import annotations

import click

from orchestrator.cli.options import run_argument, storage_option
from orchestrator.cli.terminal import chatter
from orchestrator.errors import UsageError
from orchestrator.records.events import EventLog
from orchestrator.states import RunState
from orchestrator.storage.atomic import leave_request
from orchestrator.storage.publisher import ask_to_stop
from orchestrator.storage.storage import Storage


@click.command(epilog="\b\nExamples:\n  launch-job stop latest\n  launch-job stop 4f2a1c")
@run_argument
@storage_option
def stop(run: str, storage: Storage) -> None:
    """Stop RUN once a checkpoint holds what it has done; `launch-job resume RUN` goes on."""
    from orchestrator.driver_lock import await_end, is_driven
    from orchestrator.launching.submission import withdraw

    folder = storage.find_run(run)
    if not is_driven(folder):
        if withdraw(folder):
            chatter().print(f"Run {folder.run_id} had not begun, and won't.", markup=False)
            return
        raise UsageError(
            f"Run {folder.run_id} is not going on.", hint="`launch-job ls` shows how it ended."
        )
    leave_request(folder.stop_request, by="launch-job stop")
    if folder.objects is not None:
        ask_to_stop(folder.objects)
    chatter().print(f"Run {folder.run_id} is told to stop.", markup=False)
    with chatter().status("Waiting for its checkpoint …"):
        await_end(folder)
    state = EventLog(path=storage.find_run(folder.run_id).events).state()
    chatter().print(f"It has ended: {state}.", markup=False)
    if state is not RunState.SUCCEEDED:
        chatter().print(f"`launch-job resume {folder.run_id}` goes on.", markup=False)
