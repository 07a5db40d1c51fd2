"""The options that every benchmark has."""

from __future__ import annotations

import argparse


def options(description: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """Return a parser of `--rounds`; a benchmark may add its own.

    Args:
        description: The benchmark's docstring.
        rounds: Rounds unless it is told otherwise.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=rounds, help=f"rounds that count ({rounds})")
    return parser
