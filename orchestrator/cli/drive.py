"""What the job of a submitted run is: its driver, on the cluster.

`launch-job` submits it (`orchestrator.submission`); nobody calls it by hand. What it prints is the
job's log on the Ray dashboard, and the exit code is the run's.
"""

from __future__ import annotations

import sys

from orchestrator.cli.main import exit_code_of
from orchestrator.cli.progress import TerminalProgress
from orchestrator.driving import drive_submitted
from orchestrator.storage import Storage


def main(storage: str, run_id: str, number: str) -> int:
    """Drive a run that was written down; return its exit code."""
    observer = TerminalProgress()
    place = Storage.at(storage)
    return exit_code_of(lambda: drive_submitted(place, run_id, int(number), observer), debug=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
