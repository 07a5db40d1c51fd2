"""The options that every benchmark has."""

from __future__ import annotations

import argparse


def options(description: str | None, *, rounds: int, short: int) -> argparse.ArgumentParser:
    """Return a parser of `--rounds` and `--short`; a benchmark may add its own.

    Args:
        description: The benchmark's docstring.
        rounds: Rounds unless it is told otherwise.
        short: Rounds of its short form.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=rounds, help=f"rounds that count ({rounds})")
    parser.add_argument(
        "--short",
        action="store_const",
        dest="rounds",
        const=short,
        help=f"the short form: {short} rounds",
    )
    return parser
