"""Help: `launch-job --help` against `ray --help` and `import click`, as whole processes."""

from __future__ import annotations

import sys
from pathlib import Path

from harness import LAUNCH_JOB, Comparison, Question, at_most, options, report, seconds, take_turns

OURS, RAY, CLICK = "launch-job --help", "ray --help", "import click"

QUESTION = Question(
    name="cli_start",
    title="How long does the help take?",
    unit="seconds",
    comparisons=(
        Comparison(ours=OURS, peer=RAY, target=at_most(0.25)),
        Comparison(ours=OURS, peer=CLICK, target=at_most(3)),
    ),
    method=__doc__,
)


def main() -> int:
    rounds = options(__doc__, rounds=15).parse_args().rounds
    contestants = {
        OURS: lambda: seconds([LAUNCH_JOB, "--help"]),
        RAY: lambda: seconds([Path(sys.executable).with_name("ray"), "--help"]),
        CLICK: lambda: seconds([sys.executable, "-c", "import click"]),
    }
    return report(QUESTION, take_turns(contestants, rounds))


if __name__ == "__main__":
    sys.exit(main())
