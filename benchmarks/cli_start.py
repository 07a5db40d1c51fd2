"""Help: `launch-job --help` against `python -c "import click"`, whole processes.

Target: 3 times the peer's time or less.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence

from measure import ROOT, Target, report, take_turns

OURS, PEER = "launch-job --help", "import click"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    contestants = {
        OURS: lambda: seconds([sys.executable, "-m", "orchestrator", "--help"]),
        PEER: lambda: seconds([sys.executable, "-c", "import click"]),
    }
    for run in contestants.values():
        run()  # Compiles and reads from disk what the measured runs find in memory.
    values = take_turns(contestants, rounds)
    return report("cli_start", "seconds", values, {(OURS, PEER): Target(bound=3, at_least=False)})


def seconds(command: Sequence[str]) -> float:
    """Return how long a command took."""
    began = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
