"""What was found, on the terminal: ratios first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.findings import KEPT_ROUNDS, Finding, Question, ratio_text
from harness.processes import ROOT


def report(
    question: Question,
    values: Mapping[str, Sequence[float]],
    *,
    figure: Mapping[str, Any] | None = None,
) -> int:
    """Judge what was measured, print it, and keep it if there were enough rounds.

    Args:
        question: What was asked.
        values: Of each contestant, a value a round.
        figure: A figure to draw of it on the page.

    Returns:
        0 if every target is met, else 1: the exit code.
    """
    finding = Finding.of(question, values, figure)
    if finding.ratios:
        header = ("", "median", "min", "max", "target", "")
        show(f"{question.title}", header, [_line(ratio) for ratio in finding.ratios])
    show(
        question.unit,
        ("", "median", "min", "max"),
        [
            (who, *(f"{v:,.2f}" for v in (s.median, s.min, s.max)))
            for who, s in finding.spreads.items()
        ],
    )
    if finding.rounds >= KEPT_ROUNDS:
        print(f"\nkept in {finding.write().relative_to(ROOT)}")
    else:
        print(f"\nnot kept: it takes {KEPT_ROUNDS} rounds")
    return 0 if finding.met else 1


def show(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, numbers to the right."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    print(f"\n{title}")
    for row in (header, *rows):
        _, *rest = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join([row[0].ljust(widths[0]), *rest]).rstrip())


def _line(ratio: Mapping[str, Any]) -> tuple[str, ...]:
    numbers = (
        ratio_text(ratio["ratio"][which], ratio["target"]) for which in ("median", "min", "max")
    )
    word = {None: "", True: "met", False: "MISSED"}[ratio["met"]]
    return (f"{ratio['ours']} / {ratio['peer']}", *numbers, ratio["target"] or "-", word)
