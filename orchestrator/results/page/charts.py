"""Charts as inline SVG: drawn here, coloured by the page's style in light and dark."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

#: Size of a chart, and the room around what is drawn for the words beside it.
_WIDTH, _HEIGHT = 440, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 12, 34


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line of a chart."""

    #: What it shows.
    label: str
    #: Class in the page's style that colours it: `c0`, `c1` and so on.
    style: str
    #: Where it runs: x and y; what isn't a finite number is left out.
    points: Sequence[tuple[float, float]]
    #: Whether each point is marked; a line without marks is thin.
    marked: bool = True


@dataclass(frozen=True, kw_only=True)
class _Frame:
    """Where values lie in a chart."""

    x: tuple[float, float]
    y: tuple[float, float]

    def right(self, value: float) -> float:
        low, high = self.x
        return _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def down(self, value: float) -> float:
        low, high = self.y
        return _TOP + (high - value) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)


def line_chart(
    series: Sequence[Series],
    *,
    title: str,
    x_name: str,
    show: Callable[[float], str],
    from_zero: bool = False,
) -> Markup:
    """Draw lines over each other.

    Args:
        series: The lines.
        title: What is drawn, for those who can't see it.
        x_name: What lies below.
        show: Writes a value of y.
        from_zero: Whether y begins with 0.
    """
    lines = [(line, _finite(line.points)) for line in series]
    points = [point for _, found in lines for point in found]
    if not points:
        return Markup('<p class="none">Nothing to draw yet.</p>')
    lowest = 0.0 if from_zero else min(y for _, y in points)
    ys = ticks(lowest, max(y for _, y in points))
    last = max(x for x, _ in points)
    frame = _Frame(x=(0.0, last or 1.0), y=(ys[0], ys[-1]))
    xs = [x for x in ticks(0.0, last or 1.0, whole=True) if x <= last]
    body = _grid(frame, ys, show) + _below(frame, xs, x_name)
    for line, found in lines:
        body += _line(frame, line, found, show)
    return _svg(title, body)


def reliability_chart(bins: Sequence[Mapping[str, Any]]) -> Markup:
    """Draw how often a model was right, for each level of confidence that it gave.

    Args:
        bins: As a report's `calibration` has them.
    """
    frame = _Frame(x=(0.0, 1.0), y=(0.0, 1.0))
    marks = [0.0, 0.25, 0.5, 0.75, 1.0]
    body = _grid(frame, marks, _percent)
    for bin_ in bins:
        if bin_["rows"]:
            body += _bin(frame, bin_)
    body += Markup('<path class="ideal" d="M{} {}L{} {}"/>').format(
        _LEFT, frame.down(0), _WIDTH - _RIGHT, frame.down(1)
    )
    body += _below(frame, marks, "confidence", show=_percent)
    return _svg("Accuracy for each level of confidence", body)


def interval_chart(intervals: Sequence[tuple[str, str, float, float, float]]) -> Markup:
    """Draw values with the intervals around them, one below the other.

    Args:
        intervals: Name, class of the style, value, low and high of each.
    """
    marks = ticks(min(i[3] for i in intervals), max(i[4] for i in intervals))
    height = 26 * len(intervals) + _BOTTOM + _TOP
    frame = _Frame(x=(marks[0], marks[-1]), y=(0.0, 1.0))
    body = Markup("")
    for place, (name, style, value, low, high) in enumerate(intervals):
        y = _TOP + 13 + 26 * place
        body += Markup(
            '<text class="name" x="{}" y="{}">{}</text>'
            '<path class="line {}" d="M{:.1f} {}H{:.1f}"/><circle class="dot {}" cx="{:.1f}" '
            'cy="{}" r="4.5"><title>{}: {} ({} to {})</title></circle>'
        ).format(
            *(_LEFT - 12, y + 4, name, style, frame.right(low), y, frame.right(high), style),
            *(frame.right(value), y, name, *map(_percent2, (value, low, high))),
        )
    for mark in marks:
        body += Markup('<text x="{:.1f}" y="{}" class="below">{}</text>').format(
            frame.right(mark), height - 12, _percent2(mark)
        )
    return _svg("Accuracy with its interval", body, height=height)


def ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """Return round numbers, three to seven of them, from one that isn't above to one not below."""
    span = (high - low) or abs(high) or 1.0
    step = 10.0 ** math.floor(math.log10(span / 4))
    for factor in (1, 2, 2.5, 5, 10):
        if span / (step * factor) <= 5:
            step *= factor
            break
    if whole:
        step = max(1.0, math.ceil(step))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, max(last, first + 1) + 1)]


def _svg(title: str, body: Markup, *, height: int = _HEIGHT) -> Markup:
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
    ).format(_WIDTH, height, title, body)


def _grid(frame: _Frame, marks: Sequence[float], show: Callable[[float], str]) -> Markup:
    line = Markup(
        '<path class="grid" d="M{} {:.1f}H{}"/><text class="beside" x="{}" y="{:.1f}">{}</text>'
    )
    return Markup("").join(
        line.format(
            _LEFT, frame.down(mark), _WIDTH - _RIGHT, _LEFT - 8, frame.down(mark) + 4, show(mark)
        )
        for mark in marks
    )


def _below(
    frame: _Frame,
    marks: Sequence[float],
    name: str,
    show: Callable[[float], str] = "{:g}".format,
) -> Markup:
    texts = Markup("").join(
        Markup('<text class="below" x="{:.1f}" y="{}">{}</text>').format(
            frame.right(mark), _HEIGHT - _BOTTOM + 16, show(mark)
        )
        for mark in marks
    )
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    return texts + Markup('<text class="below" x="{}" y="{}">{}</text>').format(
        middle, _HEIGHT - 4, name
    )


def _line(
    frame: _Frame,
    line: Series,
    points: Sequence[tuple[float, float]],
    show: Callable[[float], str],
) -> Markup:
    places = [(frame.right(x), frame.down(y)) for x, y in points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    body = Markup('<polyline class="line {}{}" points="{}"/>').format(
        line.style, "" if line.marked else " thin", path
    )
    if line.marked:
        for (x, y), (at, value) in zip(places, points, strict=True):
            body += Markup(
                '<circle class="dot {}" cx="{:.1f}" cy="{:.1f}" r="3.2"><title>{} {}: {}</title>'
                "</circle>"
            ).format(line.style, x, y, line.label, f"{at:g}", show(value))
    return body


def _bin(frame: _Frame, bin_: Mapping[str, Any]) -> Markup:
    left, right = frame.right(bin_["low"]), frame.right(bin_["high"])
    top = frame.down(bin_["accuracy"])
    return Markup(
        '<rect class="bin" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="2">'
        "<title>{} to {} sure: {} of {} rows right</title></rect>"
    ).format(
        left + 1,
        top,
        right - left - 2,
        max(frame.down(0) - top, 0.5),
        *(_percent(bin_["low"]), _percent(bin_["high"])),
        *(_percent2(bin_["accuracy"]), f"{bin_['rows']:,}"),
    )


def _finite(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]


def _percent(part: float) -> str:
    return f"{100 * part:.0f}%"


def _percent2(part: float) -> str:
    return f"{100 * part:.2f}%"
