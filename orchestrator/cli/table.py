"""Tables: as wide as the terminal allows, whole in a pipe; never a name that is broken in two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from operator import sub

import click

from orchestrator.cli.terminal import STATE_STYLES, chatter, output

#: Columns of space between two columns of a table.
_GAP = 2

#: Text of several words that is longer than this may be broken between words.
_PROSE = 24


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    empty: str,
    spare: Sequence[str] = (),
) -> None:
    """Print a table; in a pipe, aligned columns without lines, colour or cut-off text.

    Args:
        columns: Heads of the columns; one that begins with `>` is aligned to the right.
        rows: Text of each cell.
        empty: What to say, to people, where there is no row.
        spare: Heads of columns that a terminal too narrow for all goes without, first one first.
    """
    if not rows:
        chatter().print(empty, style="dim", markup=False)
        return
    heads = [head.removeprefix(">") for head in columns]
    right = [head.startswith(">") for head in columns]
    if not output().is_terminal:
        _print_plain(heads, right, rows)
        return
    cells = list(zip(*rows, strict=True))
    left_out = _left_out(dict(zip(heads, cells, strict=True)), spare, output().width)
    kept = [i for i, head in enumerate(heads) if head not in left_out]
    _print_rich([heads[i] for i in kept], [right[i] for i in kept], [cells[i] for i in kept])
    if left_out:
        chatter().print(
            f"No room for {', '.join(left_out)}; a pipe and -o json have them.", style="dim"
        )


def _print_plain(
    heads: Sequence[str], right: Sequence[bool], rows: Sequence[Sequence[str]]
) -> None:
    widths = [max(len(cell) for cell in column) for column in zip(heads, *rows, strict=True)]
    for line in (heads, *rows):
        cells = (
            cell.rjust(width) if aligned else cell.ljust(width)
            for cell, width, aligned in zip(line, widths, right, strict=True)
        )
        click.echo("  ".join(cells).rstrip())


def _left_out(columns: Mapping[str, Sequence[str]], spare: Sequence[str], width: int) -> list[str]:
    """Return the heads of the columns that there is no room for, in the order of `spare`."""
    widths = {head: _least_width(head, cells) + _GAP for head, cells in columns.items()}
    names = [head for head in spare if head in widths]
    excess = sum(widths.values()) - _GAP - width
    # What is left to save before each name; a column is left out while there is something.
    excesses = accumulate((widths[head] for head in names), sub, initial=excess)
    return [head for head, rest in zip(names, excesses, strict=False) if rest > 0]


def _least_width(head: str, cells: Sequence[str]) -> int:
    widest = max(len(head), *map(len, cells))
    return min(widest, _PROSE) if _is_prose(cells) else widest


def _is_prose(cells: Sequence[str]) -> bool:
    """Return whether a column may be broken between words: not a name, not a time."""
    return any(len(cell) > _PROSE and " " in cell for cell in cells)


def _print_rich(
    heads: Sequence[str], right: Sequence[bool], columns: Sequence[Sequence[str]]
) -> None:
    from rich.segment import Segments
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for head, aligned, cells in zip(heads, right, columns, strict=True):
        table.add_column(head, justify="right" if aligned else "left", no_wrap=not _is_prose(cells))
    for row in zip(*columns, strict=True):
        table.add_row(*(Text(cell, style=STATE_STYLES.get(cell, "")) for cell in row))
    # Wider than the terminal, if need be: it then breaks lines itself, and nothing is cut off.
    least = sum(map(_least_width, heads, columns)) + _GAP * (len(heads) - 1)
    console = output()
    wide = console.options.update(width=max(least, console.width))
    console.print(Segments(console.render(table, wide)), soft_wrap=True, end="")
