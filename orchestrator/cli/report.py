"""launch-job report RUN: what came out of a run, on the terminal and as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.options import output_option, runs_argument, storage_option
from orchestrator.cli.table import print_table
from orchestrator.cli.terminal import STATE_STYLES, output, print_json, show_in_browser
from orchestrator.cli.timeline import print_timeline
from orchestrator.errors import UsageError
from orchestrator.figures import duration, fixed, percent
from orchestrator.records.timeline import TimeLine
from orchestrator.results.report import Report
from orchestrator.storage.atomic import write_atomic
from orchestrator.storage.run_folder import RunFolder
from orchestrator.storage.storage import Storage


@click.command(
    epilog="\b\nExamples:\n  launch-job report latest --open\n  launch-job report 4f2a1c -o json"
    "\n  launch-job report 4f2a1c latest --to comparison.html"
)
@runs_argument
@click.option(
    "--to",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the page there, instead of into the run's folder.",
)
@click.option("--open", "opened", is_flag=True, help="Open the page in a browser.")
@storage_option
@output_option
def report(
    runs: tuple[str, ...], to: Path | None, opened: bool, storage: Storage, output: str
) -> None:
    """Show what came out of RUN, and write it as one HTML page that needs no other file.

    RUN is an identifier, a part of one, or `latest`. Of several runs it is the page of their
    comparison. A browser prints a page as PDF. With -o json, nothing is written.
    """
    if output == "json" and (to or opened):
        raise UsageError("-o json writes no page.", hint="Leave --to and --open away, or -o json.")
    folders = [storage.find_run(run) for run in runs]
    if len(folders) > 1:
        _report_several(folders, to, opened, storage, output)
        return
    if not folders:
        raise UsageError("A report is of a run.", hint="launch-job report latest")
    found = Report.read(folders[0])
    if output == "json":
        print_json(found.to_dict())
        return
    from orchestrator.results.page.run_page import run_page

    print_report(found, folders[0])
    _write_page(to or folders[0].page, run_page(folders[0], storage), opened)


def _report_several(
    folders: Sequence[RunFolder], to: Path | None, opened: bool, storage: Storage, output: str
) -> None:
    from orchestrator.cli.compare import print_comparison
    from orchestrator.results.comparison import compare
    from orchestrator.results.page.compare_page import compare_page

    found = compare(folders)
    if output == "json":
        print_json(found.to_dict())
        return
    print_comparison(found)
    path = to or storage.comparison([folder.run_id for folder in folders])
    _write_page(path, compare_page(found), opened)


def _write_page(path: Path, page: str, opened: bool) -> None:
    write_atomic(path, page)
    click.echo(f"\n{'Page':<7} {path}")
    if opened:
        show_in_browser(path.absolute().as_uri())


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
    click.echo(folder.shown(folder.path))


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
        click.echo(f"{name:<7} {folder.shown(path)}")
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
    click.echo(f"Logs    {folder.shown(folder.logs if rank is None else folder.rank_log(rank))}")


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
