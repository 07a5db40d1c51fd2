"""Asks one question after the other, each a file beside this one, and writes docs/performance.md.

python benchmarks/bench.py                 # the short form: less than 15 minutes on two cores
python benchmarks/bench.py --full          # all questions, at least five rounds each
python benchmarks/bench.py start reading   # some, at full length
python benchmarks/bench.py --page          # only write the page, of what docs/performance/ keeps
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from harness import ROOT
from harness.page import write_page

HERE = Path(__file__).parent

#: The questions of the short form, and how long they are asked there: less than 15 minutes in all.
SHORT = {
    "training": ("--rounds", "2", "--epochs", "2"),
    "start": ("--rounds", "1"),
    "evaluation": ("--rounds", "2"),
    "input_pipeline": ("--rounds", "3"),
    "cli_start": ("--rounds", "5"),
    "listing": ("--rounds", "5"),
}
#: The other ones, which come after them on the page.
LONG = (
    "training_cnn",
    "small_steps",
    "accuracy",
    "recovery",
    "submission",
    "schedules",
    "lateness",
    "checkpoints",
    "preparing",
    "reading",
    "recording",
    "asking",
    "scaling",
    "batch_size",
)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", choices=[[], *SHORT, *LONG], help="ask these only")
    parser.add_argument("--full", action="store_true", help="all questions, at full length")
    parser.add_argument("--page", action="store_true", help="only write the page")
    arguments = parser.parse_args()
    if arguments.page:
        write_page((*SHORT, *LONG))
        return 0
    long = arguments.full or arguments.names
    names = arguments.names or ((*SHORT, *LONG) if long else SHORT)
    codes = [ask(name, () if long else SHORT[name]) for name in names]
    if long:
        write_page((*SHORT, *LONG))
    return max(codes)


def ask(name: str, options: Sequence[str]) -> int:
    """Run a benchmark; return its exit code."""
    print(f"\n== {name}", flush=True)
    return subprocess.run([sys.executable, HERE / f"{name}.py", *options], cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
