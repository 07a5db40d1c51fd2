"""launch-job status RUN: the whole record of a run, while it goes on and afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from orchestrator.cli.options import output_option, run_argument, storage_option
from orchestrator.cli.table import print_table
from orchestrator.cli.terminal import STATE_STYLES, output, print_json
from orchestrator.cli.timeline import print_timeline
from orchestrator.figures import ago, duration, percent
from orchestrator.live import Live
from orchestrator.records.events import Event, EventLog
from orchestrator.records.timeline import TimeLine
from orchestrator.results.record import RunRecord
from orchestrator.storage.run_folder import RunFolder
from orchestrator.storage.storage import Storage

#: Options of a run that are shown in lines of their own, or say nothing about it.
_SHOWN_ELSEWHERE = {"run_id", "job", "params", "dataset", "workers", "name", "tags", "notes"}

#: Of a diff, lines that are shown; -o json has all.
_DIFF_LINES = 12


@click.command(
    epilog="\b\nExamples:\n  launch-job status latest\n  launch-job status 4f2a1c -o json"
    "\n  launch-job status latest --timeline"
    "\n  launch-job status -f latest"
)
@run_argument
@click.option("-f", "--follow", is_flag=True, help="Follow it until it ends, with its exit code.")
@click.option(
    "--timeline", is_flag=True, help="Show where the time went: each phase, from the command on."
)
@storage_option
@output_option
def status(run: str, follow: bool, timeline: bool, storage: Storage, output: str) -> None:
    """Show the whole record of RUN: what was asked, of which code and data, and what happened."""
    folder = storage.find_run(run)
    if follow:
        _follow(folder, storage, output)
        return
    if timeline:
        line = TimeLine.of(EventLog(path=folder.events).read())
        print_json(line.to_list()) if output == "json" else print_timeline(line)
        return
    record, live = RunRecord.read(folder), Live.read(folder)
    if output == "json":
        print_json({**record.to_dict(), "live": live.to_dict()})
        return
    _show_head(record)
    _show_live(live)
    # Each part is a section of its own; a further one is a function here.
    for show in (_show_request, _show_origin, _show_events, _show_files):
        show(record)


def _follow(folder: RunFolder, storage: Storage, output: str) -> None:
    from orchestrator.cli.follow import follow_run
    from orchestrator.cli.progress import TerminalProgress
    from orchestrator.cli.run import print_result

    observer = TerminalProgress()
    try:
        report = follow_run(folder, observer)
    finally:
        observer.close()
    print_result(report, storage, output)


def _show_live(live: Live) -> None:
    """Show what a run that goes on does at this moment, and what its cluster says of it."""
    if live.waiting:
        output().print(f"{'Waits for':<12}{live.waiting}", style="yellow", markup=False)
    if live.doing:
        _line("Now", live.doing)
    if live.job_id:
        _line("Job", f"{live.job_id} at {live.cluster}: {live.job_status or 'not known there'}")


def _show_head(record: RunRecord) -> None:
    found = record.summary
    state = found.state.value if found.state else "–"
    output().print(f"[bold]{found.run_id}[/]  [{STATE_STYLES.get(state, 'default')}]{state}[/]")
    _line("Asked", f"{found.started_at.isoformat(timespec='seconds')} ({ago(found.started_at)})")
    _line("Took", duration(found.wall_s))
    _line("Epochs", f"{found.epochs_done} of {found.epochs}")
    if found.accuracy is not None:
        _line("Accuracy", percent(found.accuracy))
    if record.error:
        output().print(f"{'Error':<12}{record.error['message']}", style="red", markup=False)
    for note in record.spec.notes:
        output().print(f"{'Note':<12}{note}", style="yellow", markup=False)


def _show_request(record: RunRecord) -> None:
    spec = record.spec
    _section("Request")
    _line("Job", spec.job)
    _line("Parameters", _pairs(spec.params) or "none")
    _line("Dataset", spec.dataset)
    _line("Workers", str(spec.workers))
    options = {k: v for k, v in spec.to_dict().items() if k not in _SHOWN_ELSEWHERE}
    _line("Options", _pairs({k: v for k, v in options.items() if v is not None}))
    if spec.name:
        _line("Name", spec.name)
    if spec.tags:
        _line("Tags", ", ".join(spec.tags))


def _show_origin(record: RunRecord) -> None:
    known = record.provenance
    _section("Code and data")
    _line("Data", record.dataset_fingerprint or "not prepared yet")
    _line("Job's file", known.get("code_digest") or "–")
    _line("Commit", known.get("git_commit") or "not in a repository")
    _line("Versions", _pairs(known.get("versions", {})))
    _line("Asked on", known.get("host") or "–")
    diff = str(known.get("git_diff") or "").splitlines()
    if diff:
        _line("Diff", f"{len(diff)} lines")
        for line in diff[:_DIFF_LINES]:
            output().print(f"    {line}", style="dim", markup=False)
        if len(diff) > _DIFF_LINES:
            output().print("    … (-o json has all)", style="dim")


def _show_events(record: RunRecord) -> None:
    _section("Events")
    print_table(
        ("WHEN", ">AFTER", "EVENT", "WHAT"),
        # Phases have a view of their own: --timeline.
        [_event_row(e, record.events[0]) for e in record.events if e.event != "phase"],
        empty="There are none: the launcher died at once.",
    )


def _event_row(event: Event, first: Event) -> tuple[str, ...]:
    details = dict(event.details)
    name = details.pop("state", event.event) if event.event == "state" else event.event
    return (
        event.time.isoformat(sep=" ", timespec="seconds")[:19],
        duration((event.time - first.time).total_seconds()),
        str(name),
        _pairs(details),
    )


def _show_files(record: RunRecord) -> None:
    _section("Files")
    for name, path in record.files.items():
        _line(name.capitalize(), path)
    for name in record.checkpoints:
        _line("", name)


def _pairs(values: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={_short(value)}" for name, value in values.items())


def _short(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _line(name: str, text: str) -> None:
    click.echo(f"{name:<12}{text}".rstrip())


def _section(title: str) -> None:
    click.echo()
    output().print(title, style="bold")
