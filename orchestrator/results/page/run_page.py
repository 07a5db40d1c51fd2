"""The page of one run: what ran and how it ended, how it learned, what it got wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orchestrator.figures import whole
from orchestrator.records.metric_log import running_metrics
from orchestrator.results.chance import accuracy_interval
from orchestrator.results.page.charts import Series, line_chart, reliability_chart
from orchestrator.results.page.pictures import pictures
from orchestrator.results.page.render import render
from orchestrator.results.page.time_bar import time_bar, totals
from orchestrator.results.record import RunRecord
from orchestrator.results.report import Report
from orchestrator.storage.run_folder import RunFolder
from orchestrator.storage.storage import Storage

#: Entries of a history that are no metrics.
_NO_METRICS = {"epoch", "step", "seconds", "rows_per_s"}

#: Classes that a confusion matrix is drawn for: more can't be told apart on a page.
_MOST_CLASSES = 40


def run_page(run: RunFolder, storage: Storage) -> str:
    """Return the page of a run that has ended.

    Raises:
        UsageError: The run has no report yet.
        UnavailableError: A file of the run can't be read.
    """
    report, record = Report.read(run), RunRecord.read(run)
    running = running_metrics(run)
    spans = time_bar(report.timeline, report.wall_s)
    mistakes = report.hardest_mistakes
    return render(
        "run",
        title=report.name or report.run_id,
        report=report,
        record=record,
        interval=_interval(report),
        curves=_curves(report, running),
        throughput=_throughput(report.history),
        spans=spans,
        totals=totals(spans),
        matrix=_matrix(report),
        reliability=reliability_chart(report.calibration) if report.test_rows else None,
        pictures=pictures(report, storage, [m["row"] for m in mistakes]) if mistakes else {},
    )


def metric_names(histories: Sequence[Sequence[Mapping[str, Any]]]) -> list[str]:
    """Return the metrics of some histories: loss, accuracy, then the others."""
    found = {name for history in histories for entry in history for name in entry} - _NO_METRICS
    return sorted(found, key=lambda name: (name != "loss", name != "accuracy", name))


def epoch_points(history: Sequence[Mapping[str, Any]], metric: str) -> list[tuple[float, float]]:
    """Return a metric at the end of each epoch."""
    return [(float(e["epoch"]), float(e[metric])) for e in history if _is_number(e.get(metric))]


def _curves(report: Report, running: Sequence[Mapping[str, Any]]) -> list[tuple[str, Any]]:
    steps = -(-report.train_rows // report.batch_size) or 1
    drawn = []
    for name in metric_names([report.history, running]):
        series = [Series(label="epoch", style="c0", points=epoch_points(report.history, name))]
        for epoch in sorted({entry["epoch"] for entry in running}):
            # A line for each: a metric counts anew with every epoch.
            told = [entry for entry in running if entry["epoch"] == epoch]
            if between := _running_points(told, name, steps):
                series.append(Series(label="so far", style="c1", points=between, marked=False))
        chart = line_chart(series, title=f"{name} by epoch", x_name="epoch", show=axis_writer(name))
        drawn.append((name, chart))
    return drawn


def _running_points(
    running: Sequence[Mapping[str, Any]], metric: str, steps: int
) -> list[tuple[float, float]]:
    """Return a metric between the ends of epochs, each at its part of the epoch."""
    told = (entry for entry in running if _is_number(entry.get(metric)))
    return [(entry["epoch"] - 1 + entry["step"] / steps, entry[metric]) for entry in told]


def axis_writer(metric: str) -> Callable[[float], str]:
    """Return the function that writes a metric's round values beside a chart."""
    return (lambda v: f"{100 * v:g}%") if metric == "accuracy" else (lambda v: f"{v:g}")


def _throughput(history: Sequence[Mapping[str, Any]]) -> Any:
    points = epoch_points(history, "rows_per_s")
    if not points:
        return None
    series = [Series(label="epoch", style="c2", points=points)]
    return line_chart(
        series, title="Training rows a second", x_name="epoch", show=whole, from_zero=True
    )


def _interval(report: Report) -> Any:
    if report.accuracy is None or not report.test_rows:
        return None
    return accuracy_interval(round(report.accuracy * report.test_rows), report.test_rows)


def _matrix(report: Report) -> list[dict[str, Any]]:
    """Return the lines of the confusion matrix: name and, of each cell, count and heat."""
    if not 0 < len(report.classes) <= _MOST_CLASSES:
        return []
    return [
        {
            "name": name,
            "cells": [
                # A square root, so that the few mistakes are seen beside the many right ones.
                {"count": n, "heat": math.sqrt(n / max(sum(line), 1)), "right": i == j}
                for j, n in enumerate(line)
            ],
        }
        for i, (name, line) in enumerate(zip(report.classes, report.confusion_matrix, strict=True))
    ]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
