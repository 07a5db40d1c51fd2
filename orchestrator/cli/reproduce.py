"""launch-job reproduce RUN: does a run again and says whether it comes out the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.options import (
    Way,
    cluster_options,
    output_option,
    run_argument,
    storage_option,
    with_options,
)
from orchestrator.cli.terminal import chatter, print_json
from orchestrator.cli.terminal import output as data
from orchestrator.errors import UsageError
from orchestrator.storage.run_folder import RunFolder
from orchestrator.storage.storage import Storage

if TYPE_CHECKING:
    from orchestrator.cli.progress import TerminalProgress
    from orchestrator.launching.request import Request
    from orchestrator.results.reproduction import Change, Verdict


@click.command(
    epilog="\b\nExamples:\n  launch-job reproduce latest"
    "\n  launch-job reproduce 4f2a1c --dry-run\n  launch-job reproduce 4f2a1c -o json"
)
@run_argument
@click.option("--dry-run", is_flag=True, help="Say what is not as it was, and start nothing.")
@with_options(cluster_options)
@storage_option
@click.option("-v", "--verbose", is_flag=True, help="Show the logs of all ranks.")
@output_option
@click.pass_context
def reproduce(
    ctx: click.Context,
    run: str,
    dry_run: bool,
    address: str | None,
    insecure: bool,
    install: bool,
    detach: bool,
    storage: Storage,
    verbose: bool,
    output: str,
) -> None:
    """Do RUN again, on as many workers of the same device, and say whether it comes out the same.

    It says first what is not as it was: the job's file, data, versions, git commit and diff, host.
    The verdict is one of three: bitwise the same weights; the same metrics to a thousandth; or
    different, with the first thing that differs (exit code 1).
    """
    from orchestrator.cli.progress import TerminalProgress
    from orchestrator.launching.reproduction import prepare_reproduction

    if detach:
        raise UsageError("A verdict takes the end of the run.", hint="Leave --detach away.")
    first = storage.find_run(run)
    observer = TerminalProgress(verbose=verbose)
    try:
        request = prepare_reproduction(first, storage=storage, address=address, observer=observer)
    finally:
        observer.close()
    found = _changes_now(first, request)
    if dry_run:
        _show_plan(first, found, output)
        return
    _tell(found)
    _drive(request, observer, Way(insecure=insecure, install=install))
    verdict = _verdict(first, storage.run(request.spec.run_id))
    if output == "json":
        print_json(verdict.to_dict())
    else:
        _print(verdict)
    if verdict.outcome == "different":
        ctx.exit(1)


def _drive(request: Request, observer: TerminalProgress, way: Way) -> None:
    if request.address is None:
        from orchestrator.cli.run import drive

        drive(request, observer)
        return
    from orchestrator.cli.follow import submit_and_wait

    submit_and_wait(request, observer, way)


def _changes_now(first: RunFolder, request: Request) -> tuple[Change, ...]:
    """Return what is not as it was, as far as it is known before the rows are prepared."""
    from orchestrator.provenance import Provenance
    from orchestrator.results.reproduction import changes

    before = _origin(first)
    # Whether the data is the same is known once it is prepared: from the new run's record.
    mark = before["dataset_fingerprint"]
    now = {**Provenance.collect(request.job.path).to_dict(), "dataset_fingerprint": mark}
    return changes(before, now)


def _verdict(first: RunFolder, again: RunFolder) -> Verdict:
    """Hold the two runs against each other, and keep the verdict beside the new one."""
    from orchestrator.results.report import Report
    from orchestrator.results.reproduction import changes, judge
    from orchestrator.storage.atomic import write_json

    verdict = judge(
        (Report.read(first), first.model),
        (Report.read(again), again.model),
        changes(_origin(first), _origin(again)),
    )
    write_json(again.reproduction, verdict.to_dict())
    return verdict


def _origin(run: RunFolder) -> dict[str, Any]:
    from orchestrator.storage.atomic import read_json

    asked = read_json(run.spec)
    return {
        **asked.get("provenance", {}),
        "dataset_fingerprint": asked.get("dataset_fingerprint"),
    }


def _show_plan(first: RunFolder, found: Sequence[Change], output: str) -> None:
    if output == "json":
        changed = [{"name": c.name, "before": c.before, "now": c.now} for c in found]
        print_json({"run_id": first.run_id, "changes": changed})
        return
    click.echo(f"{first.run_id}: {'this is not as it was' if found else 'all is as it was'}")
    for change in found:
        click.echo(f"  {change}")


def _tell(found: Sequence[Change]) -> None:
    if found:
        chatter().print("Not as it was:", style="bold yellow")
    for change in found:
        chatter().print(f"  {change}", style="yellow", markup=False)


def _print(verdict: Verdict) -> None:
    from orchestrator.results.reproduction import TOLERANCE

    words = {
        "bitwise": ("green", "Bitwise the same weights."),
        "tolerance": (
            "yellow",
            f"The same metrics to {TOLERANCE:g} (relative), but not the same weights.",
        ),
        "different": ("red", "Different."),
    }
    style, text = words[verdict.outcome]
    data().print(f"[bold {style}]{text}[/]")
    if verdict.changes:
        click.echo("Not as it was:")
        for change in verdict.changes:
            click.echo(f"  {change}")
    if verdict.first_difference:
        click.echo(f"First difference in what came out: {verdict.first_difference}")
    click.echo(f"{'First':<7} {verdict.run_id}")
    click.echo(f"{'Again':<7} {verdict.again}")
