"""launch-job report RUN: what came out of a run, on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from orchestrator.cli.options import output_option, run_argument, storage_option
from orchestrator.cli.table import print_table
from orchestrator.cli.terminal import (
    STATE_STYLES,
    duration,
    fixed,
    output,
    percent,
    print_json,
)
from orchestrator.cli.timeline import print_timeline
from orchestrator.results.report import Report
from orchestrator.storage import RunFolder, Storage
from orchestrator.timeline import TimeLine


@click.command(
    epilog="\b\nExamples:\n  launch-job report latest\n  launch-job report 4f2a1c -o json"
)
@run_argument
@storage_option
@output_option
def report(run: str, storage: Storage, output: str) -> None:
    """Show what came out of RUN: an identifier, a part of one, or `latest`."""
    folder = storage.find_run(run)
    found = Report.read(folder)
    if output == "json":
        print_json(found.to_dict())
    else:
        print_report(found, folder)


def print_report(report: Report, folder: RunFolder) -> None:
    """Print a whole report."""
    _print_head(report)
    if report.error:
        _print_error(report.error, folder)
    if report.restarts:
        _print_restarts(report.restarts)
    if report.accuracy is not None:
        _print_scores(report)
    if report.history:
        _print_history(report.history)
    _section("Time")
    click.echo(f"{duration(report.wall_s)} in all")
    print_timeline(TimeLine.from_list(report.timeline))
    _section("Files")
    click.echo(str(folder.path))


def print_ending(report: Report, storage: Storage) -> None:
    """Print the last lines of a run: what it achieved, where it lies, what to do next."""
    folder = storage.run(report.run_id)
    colour = output()
    colour.print(
        f"[bold green]{percent(report.accuracy)}[/] of {report.test_rows:,} test rows right, "
        f"loss {fixed(report.loss)}, {report.train_rows_per_s:,.0f} rows/s, "
        f"{duration(report.wall_s)}"
    )
    for name, path in (("Model", folder.model), ("Report", folder.report)):
        click.echo(f"{name:<7} {path}")
    click.echo(f"Next    launch-job report {report.run_id}")
    click.echo("        launch-job results")


def _print_head(report: Report) -> None:
    style = STATE_STYLES.get(report.state.value, "")
    output().print(f"[bold]{report.run_id}[/]  [{style}]{report.state.value}[/]")
    params = " ".join(f"{name}={value}" for name, value in report.params.items())
    click.echo(
        f"{report.job} on {report.dataset}, {_counted(report.workers, 'worker')} on {report.device}"
    )
    click.echo(
        f"{_counted(report.epochs, 'epoch')}, batches of {report.batch_size}, seed {report.seed}"
        + (f", {params}" if params else "")
    )
    for note in report.notes:
        output().print(f"Note: {note}", style="yellow", markup=False)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _print_error(error: Mapping[str, Any], folder: RunFolder) -> None:
    """Print what happened, to whom, where in the code, what to do, and where the logs are."""
    message, rank = str(error["message"]), error.get("rank")
    output().print(message, style="red", markup=False)
    for line in error.get("lines", ()):
        output().print(f"    {line}", style="dim", markup=False)
    if error.get("hint"):
        click.echo(f"  {error['hint']}")
    if error.get("cause"):
        click.echo(f"Cause   {error['cause']}")
    if rank is not None:
        click.echo(f"First   rank {rank} on {error['host']}")
    click.echo(f"Logs    {folder.logs if rank is None else folder.rank_log(rank)}")


def _print_restarts(restarts: Sequence[Mapping[str, Any]]) -> None:
    _section("Restarts")
    print_table(
        ("WHEN", "WHY", ">WORKERS", "WHAT HAPPENED"),
        [
            (
                str(entry["time"])[:19].replace("T", " "),
                entry.get("cause") or "resumed",
                str(entry["workers"]),
                _shortened(entry.get("message") or "Taken up by a new launcher."),
            )
            for entry in restarts
        ],
        empty="",
    )


def _shortened(text: str, most: int = 100) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _print_scores(report: Report) -> None:
    _section("Test")
    click.echo(
        f"accuracy {percent(report.accuracy)}  loss {fixed(report.loss)}  "
        f"calibration error {percent(report.calibration_error)}  rows {report.test_rows:,}"
    )
    _section("Classes")
    print_table(
        ("CLASS", ">PRECISION", ">RECALL", ">F1", ">ROWS"),
        [
            (
                str(c["class"]),
                *(fixed(c[key]) for key in ("precision", "recall", "f1")),
                f"{c['support']:,}",
            )
            for c in report.per_class
        ],
        empty="",
    )
    _section("Confusion (rows: what it is; columns: what was said)")
    _print_confusion(report.classes, report.confusion_matrix)
    _section("Hardest mistakes")
    print_table(
        (">ROW", "IS", "SAID", ">CONFIDENCE", ">LOSS"),
        [
            (str(m["row"]), m["label"], m["predicted"], percent(m["confidence"]), fixed(m["loss"]))
            for m in report.hardest_mistakes[:10]
        ],
        empty="There are none.",
    )


def _print_confusion(classes: Sequence[str], matrix: Sequence[Sequence[int]]) -> None:
    from rich.markup import escape

    width = max(len(str(cell)) for cell in [*classes, *(n for line in matrix for n in line)]) + 1
    label = max(len(name) for name in classes)
    click.echo(" " * label + "".join(name.rjust(width) for name in classes))
    for i, (name, line) in enumerate(zip(classes, matrix, strict=True)):
        cells = (_heat(str(n).rjust(width), n, sum(line), i == j) for j, n in enumerate(line))
        output().print(escape(name.rjust(label)) + "".join(cells), soft_wrap=True)


def _heat(text: str, count: int, total: int, right: bool) -> str:
    """Colour a cell: the diagonal green, mistakes the redder the more there are."""
    if count == 0:
        return f"[dim]{text}[/]"
    if right:
        return f"[green]{text}[/]"
    return f"[bold red]{text}[/]" if count / total > 0.01 else f"[red]{text}[/]"


def _print_history(history: Sequence[Mapping[str, Any]]) -> None:
    _section("Epochs")
    print_table(
        (">EPOCH", ">LOSS", ">ACCURACY", ">ROWS/S", ">TOOK"),
        [
            (
                str(epoch["epoch"]),
                fixed(epoch.get("loss")),
                percent(epoch.get("accuracy")),
                f"{epoch['rows_per_s']:,.0f}",
                duration(epoch["seconds"]),
            )
            for epoch in history
        ],
        empty="",
    )


def _section(title: str) -> None:
    click.echo()
    output().print(title, style="bold")
