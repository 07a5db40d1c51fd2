"""Figures for the page: what to draw is kept as JSON beside the values, and drawn as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.turns import Spread


def lines(
    *,
    title: str,
    x: str,
    y: str,
    curves: Mapping[str, Mapping[int, Sequence[float]]],
    logarithmic: bool = False,
) -> dict[str, Any]:
    """Return a figure of medians over a number, with ranges.

    Args:
        title: Above it.
        x: What the number is.
        y: What values are.
        curves: For each curve and number: a value a round.
        logarithmic: Whether the axis of the number is.
    """
    points = {
        who: [[at, asdict(Spread.of(rounds))] for at, rounds in curve.items()]
        for who, curve in curves.items()
    }
    axes = {"title": title, "x": x, "y": y, "logarithmic": logarithmic}
    return {"kind": "lines", **axes, "curves": points}


def bars(
    *, title: str, x: str, rows: Mapping[str, Sequence[tuple[str, float, float]]]
) -> dict[str, Any]:
    """Return a figure of spans along an axis.

    Args:
        title: Above it.
        x: What the axis is.
        rows: For each row, from the top: (name, begin, end) of its spans.
    """
    spans = {who: [list(span) for span in row] for who, row in rows.items()}
    return {"kind": "bars", "title": title, "x": x, "rows": spans}


def draw(figure: Mapping[str, Any], path: Path) -> None:
    """Draw a figure as SVG that reads on light and dark pages."""
    import matplotlib as mpl

    mpl.use("svg")
    # The same input gives the same file, so that only changes show.
    mpl.rcParams.update({"svg.hashsalt": path.stem, "svg.fonttype": "none", "font.size": 10})
    from matplotlib import pyplot as plt

    drawn, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
    {"lines": _draw_lines, "bars": _draw_bars}[figure["kind"]](axes, figure)
    axes.set_title(figure["title"], loc="left", fontsize=11)
    axes.set_xlabel(figure["x"])
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn.savefig(path, facecolor="white", metadata={"Date": None})
    plt.close(drawn)


def _draw_lines(axes: Any, figure: Mapping[str, Any]) -> None:
    for who, points in figure["curves"].items():
        at = [number for number, _ in points]
        low, median, high = ([s[k] for _, s in points] for k in ("min", "median", "max"))
        (line,) = axes.plot(at, median, marker="o", label=who)
        axes.fill_between(at, low, high, alpha=0.2, color=line.get_color())
    if figure["logarithmic"]:
        axes.set_xscale("log", base=2)
    marked = sorted({number for points in figure["curves"].values() for number, _ in points})
    axes.set_xticks(marked, [str(number) for number in marked])
    axes.set_ylabel(figure["y"])
    axes.set_ylim(bottom=0)


def _draw_bars(axes: Any, figure: Mapping[str, Any]) -> None:
    names = list(dict.fromkeys(name for row in figure["rows"].values() for name, *_ in row))
    colours = dict(zip(names, _colours(len(names)), strict=True))
    for place, row in enumerate(figure["rows"].values()):
        lanes = _lanes(row)
        height = 0.8 / len(lanes)
        for number, lane in enumerate(lanes):
            y = place + (number - (len(lanes) - 1) / 2) * height
            for name, begin, end in lane:
                axes.barh(y, end - begin, left=begin, color=colours[name], height=height)
    for name in names:
        axes.barh(0, 0, color=colours[name], label=name)
    axes.set_yticks(range(len(figure["rows"])), list(figure["rows"]))
    axes.invert_yaxis()


def _lanes(row: Sequence[tuple[str, float, float]]) -> list[list[tuple[str, float, float]]]:
    """Part spans into lanes in which none overlaps another."""
    lanes: list[list[tuple[str, float, float]]] = []
    for span in sorted(row, key=lambda span: span[1]):
        # Of one process, a phase ends when the next one begins, to the rounding.
        free = [lane for lane in lanes if lane[-1][2] <= span[1] + 0.001]
        if free:
            free[0].append(span)
        else:
            lanes.append([span])
    return lanes


def _colours(count: int) -> list[Any]:
    import matplotlib as mpl

    return [mpl.colormaps["tab20"](i % 20) for i in range(count)]
