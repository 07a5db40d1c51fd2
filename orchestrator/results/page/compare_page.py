"""The page of several runs: what differs, what came out, and whether that is chance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.figures import duration, fixed, percent, whole
from orchestrator.results.comparison import METRICS, Comparison, Line
from orchestrator.results.page.charts import Series, interval_chart, line_chart
from orchestrator.results.page.render import render
from orchestrator.results.page.run_page import axis_writer, epoch_points, metric_names
from orchestrator.results.verdicts import letter, verdict

#: Colours that the page's style has.
_COLOURS = 6

_WORDS: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "accuracy": ("Accuracy", percent),
    "loss": ("Loss", fixed),
    "calibration_error": ("Calibration error", percent),
    "train_rows_per_s": ("Training rows a second", whole),
    "wall_s": ("Took", duration),
    "steps": ("Steps", whole),
}


def compare_page(found: Comparison) -> str:
    """Return the page of a comparison."""
    letters = [letter(index) for index in range(len(found.reports))]
    return render(
        "compare",
        title=f"{len(found.reports)} runs compared",
        runs=[
            {"letter": name, "style": _style(index), "report": report}
            for index, (name, report) in enumerate(zip(letters, found.reports, strict=True))
        ],
        differing=found.differing,
        metrics=[_metric_row(line) for line in found.metrics],
        classes=[_row(line.name, line, fixed, better=True) for line in found.classes],
        verdicts=[
            {
                "text": verdict(test, first="A", second=name),
                "sure": not isinstance(test, str) and test.significant,
            }
            for name, test in zip(letters[1:], found.tests, strict=True)
        ],
        accuracies=_accuracies(found, letters),
        curves=_curves(found, letters),
    )


def _style(index: int) -> str:
    return f"c{index % _COLOURS}"


def _metric_row(line: Line) -> dict[str, Any]:
    name, show = _WORDS[line.name]
    return _row(name, line, show, better=METRICS[line.name])


def _row(
    name: str, line: Line, show: Callable[[Any], str], *, better: bool | None
) -> dict[str, Any]:
    """Return a row of a table: each value, and how it differs from the first."""
    return {
        "name": name,
        "cells": [
            {
                "value": "–" if value is None else show(value),
                "difference": _signed(difference, show) if place and difference else "",
                "tone": _tone(difference, better),
            }
            for place, (value, difference) in enumerate(
                zip(line.values, line.differences, strict=True)
            )
        ],
    }


def _signed(difference: float, show: Callable[[Any], str]) -> str:
    return f"{'−' if difference < 0 else '+'}{show(abs(difference))}"


def _tone(difference: float | None, better: bool | None) -> str:
    """Return `good` or `bad`, for which way a value differs from the first; or nothing."""
    if not difference or better is None:
        return ""
    return "good" if (difference > 0) == better else "bad"


def _accuracies(found: Comparison, letters: list[str]) -> Any:
    known = [
        (name, _style(index), a.value, a.low, a.high)
        for index, (name, a) in enumerate(zip(letters, found.accuracies, strict=True))
        if a is not None
    ]
    return interval_chart(known) if known else None


def _curves(found: Comparison, letters: list[str]) -> list[tuple[str, Any]]:
    histories = [report.history for report in found.reports]
    return [
        (
            name,
            line_chart(
                [
                    Series(label=who, style=_style(index), points=epoch_points(history, name))
                    for index, (who, history) in enumerate(zip(letters, histories, strict=True))
                ],
                title=f"{name} by epoch",
                x_name="epoch",
                show=axis_writer(name),
            ),
        )
        for name in metric_names(histories)
    ]
