"""What the job of a submitted run is: its driver, on the cluster.

`launch-job` submits it (`orchestrator.launching.submission`); nobody calls it by hand. What it
prints is the job's log on the Ray dashboard, which goes with the head, and stands in the run's
folder as well. Its exit code is the run's.
"""

from __future__ import annotations

import sys
from typing import TextIO

from orchestrator.cli.main import exit_code_of
from orchestrator.cli.progress import TerminalProgress
from orchestrator.launching.driving import drive_submitted
from orchestrator.storage.atomic import storage_errors
from orchestrator.storage.run_folder import RunFolder
from orchestrator.storage.storage import Storage


def main(storage: str, run_id: str, number: str) -> int:
    """Drive a run that was written down; return its exit code."""
    place = Storage.at(storage)
    return exit_code_of(lambda: _drive(place, place.run(run_id), int(number)), debug=True)


def _drive(storage: Storage, run: RunFolder, number: int) -> None:
    if run.path.is_dir():
        with storage_errors(run.driver_log):
            run.driver_log.parent.mkdir(exist_ok=True)
            log = run.driver_log.open("a")
        sys.stdout = _Tee(sys.stdout, log)
        sys.stderr = _Tee(sys.stderr, log)
    drive_submitted(storage, run.run_id, number, TerminalProgress())


class _Tee:
    """A stream that writes to two.

    Args:
        first: It stands for this one in all else.
        second: Gets the same, line by line.
    """

    def __init__(self, first: TextIO, second: TextIO) -> None:
        self._first = first
        self._second = second

    def write(self, text: str) -> int:
        """Write to both."""
        self._second.write(text)
        return self._first.write(text)

    def flush(self) -> None:
        """Flush both."""
        self._second.flush()
        self._first.flush()

    def __getattr__(self, name: str) -> object:
        return getattr(self._first, name)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
