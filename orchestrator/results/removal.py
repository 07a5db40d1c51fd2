"""Taking a run's folder away, so that nobody sees half of one."""

from __future__ import annotations

import os
import shutil

from orchestrator.atomic import storage_errors
from orchestrator.driver_lock import DriverLock
from orchestrator.storage import RunFolder


def remove_run(run: RunFolder) -> None:
    """Remove a run's folder; its rows in the results tables stay.

    Raises:
        UsageError: It is being driven.
        UnavailableError: The storage can't be written.
    """
    gone = run.path.with_name(f".{run.run_id}.removed")
    with DriverLock(run), storage_errors(run.path):
        # Lists pass over hidden names: from here on it is not there, however long removing takes.
        os.replace(run.path, gone)
        shutil.rmtree(gone)
