"""A run's time line on the terminal: a line a phase, with a bar where it lies."""

from __future__ import annotations

from orchestrator.cli.table import print_table
from orchestrator.cli.terminal import output
from orchestrator.figures import duration
from orchestrator.records.timeline import Phase, TimeLine

#: Columns of a bar's field, in a pipe and at most.
_WIDTH = 40

#: What the columns before it take.
_OTHERS = 56

#: No spaces: a cell of words may be broken, and begins with none.
_BLANK, _BLOCK = "·", "█"


def print_timeline(line: TimeLine) -> None:
    """Print the phases of a run, in the order in which they began."""
    width = max(8, min(_WIDTH, output().width - _OTHERS)) if output().is_terminal else _WIDTH
    print_table(
        ("PHASE", ">AFTER", ">TOOK", "WHERE"),
        [
            (
                phase.name,
                duration(phase.began_s - line.began_s),
                duration(phase.seconds),
                bar(phase, line, width),
            )
            for phase in line.phases
        ],
        empty="Its log tells of no phases.",
    )


def bar(phase: Phase, line: TimeLine, width: int) -> str:
    """Return a phase as blocks in a field that stands for the whole time line."""
    whole = line.seconds or 1.0
    first = min(width - 1, int((phase.began_s - line.began_s) / whole * width))
    blocks = max(1, round(phase.seconds / whole * width))
    return _BLANK * first + _BLOCK * min(blocks, width - first)
