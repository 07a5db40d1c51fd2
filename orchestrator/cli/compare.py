"""launch-job compare RUN RUN …: what differs, what came out, and whether that is chance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from orchestrator.cli.options import output_option, runs_argument, storage_option
from orchestrator.cli.table import print_table
from orchestrator.cli.terminal import STATE_STYLES, output, print_json
from orchestrator.errors import UsageError
from orchestrator.figures import duration, fixed, percent
from orchestrator.results.comparison import Comparison, Line, compare, compare_best
from orchestrator.results.verdicts import letter, verdict
from orchestrator.storage.storage import Storage

#: How values are shown; other metrics are numbers.
_SHOWN: Mapping[str, Callable[[Any], str]] = {
    "accuracy": percent,
    "loss": fixed,
    "calibration_error": percent,
    "wall_s": duration,
}


@click.command(
    name="compare",
    epilog="\b\nExamples:\n  launch-job compare 4f2a1c latest"
    "\n  launch-job compare --best accuracy --job lstm-mnist"
    "\n  launch-job compare --best loss --job lstm-mnist -l 5 -o json",
)
@runs_argument
@click.option(
    "--best",
    metavar="METRIC",
    help="Compare the best runs by accuracy, loss, calibration_error, train_rows_per_s or wall_s.",
)
@click.option("--job", help="With --best: only of this job.")
@click.option("--dataset", help="With --best: only on this dataset, as `results` shows it.")
@click.option(
    "-l", "--limit", type=click.IntRange(min=2), help="With --best: how many.  [default: 2]"
)
@storage_option
@output_option
def command(
    runs: tuple[str, ...],
    best: str | None,
    job: str | None,
    dataset: str | None,
    limit: int | None,
    storage: Storage,
    output: str,
) -> None:
    """Compare RUNs: parameters that differ, scores, and whether their difference is chance.

    Each run is held against the first. On the same test rows, McNemar's test says how often chance
    alone would make them differ as much; intervals are bootstrapped (95%).
    """
    if best is None and (job or dataset or limit):
        raise UsageError(
            "--job, --dataset and --limit choose among the best runs.", hint="Add --best accuracy."
        )
    if best is not None and runs:
        raise UsageError("Name runs, or have --best find them.")
    if best is None:
        found = compare([storage.find_run(run) for run in runs])
    else:
        found = compare_best(storage, best=best, job=job, dataset=dataset, number=limit or 2)
    if output == "json":
        print_json(found.to_dict())
    else:
        print_comparison(found)


def print_comparison(found: Comparison) -> None:
    """Print a whole comparison; runs are A, B and so on."""
    from rich.markup import escape

    for index, report in enumerate(found.reports):
        state = report.state.value
        named = f"  ({report.name})" if report.name else ""
        told = escape(f"{named}  {report.job} on {report.dataset}")
        output().print(
            f"[bold]{letter(index)}[/]  {report.run_id}  [{STATE_STYLES[state]}]{state}[/]{told}"
        )
    letters = [letter(index) for index in range(len(found.reports))]
    _section("Differs")
    print_table(
        ("WHAT", *letters),
        [(line.name, *map(_text, line.values)) for line in found.differing],
        empty="Nothing that was asked, and neither code nor versions.",
    )
    _section("Came out")
    print_table(
        ("METRIC", *(f">{name}" for name in letters), *_difference_heads(letters)),
        [_metric_row(line) for line in found.metrics if any(v is not None for v in line.values)],
        empty="Nothing.",
    )
    _section("More than chance?")
    for index, test in enumerate(found.tests, start=1):
        click.echo(verdict(test, first="A", second=letter(index)))
    if found.classes:
        _section("F1 of each class")
        print_table(
            ("CLASS", *(f">{name}" for name in letters), *_difference_heads(letters)),
            [
                (line.name, *map(fixed, line.values), *_differences(line, fixed))
                for line in found.classes
            ],
            empty="",
        )


def _difference_heads(letters: list[str]) -> list[str]:
    return [f">{name}−A" for name in letters[1:]]


def _metric_row(line: Line) -> tuple[str, ...]:
    show = _SHOWN.get(line.name, _number)
    values = ("–" if value is None else show(value) for value in line.values)
    return (line.name, *values, *_differences(line, show))


def _differences(line: Line, show: Callable[[Any], str]) -> list[str]:
    return ["–" if d is None else _signed(d, show) for d in line.differences[1:]]


def _signed(difference: float, show: Callable[[Any], str]) -> str:
    sign = "−" if difference < 0 else "+" if difference > 0 else "±"
    return f"{sign}{show(abs(difference))}"


def _number(value: Any) -> str:
    return f"{value:,.0f}"


def _text(value: Any) -> str:
    return "–" if value is None else str(value)


def _section(title: str) -> None:
    click.echo()
    output().print(title, style="bold")
