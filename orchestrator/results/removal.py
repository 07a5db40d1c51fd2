"""Taking a run's folder away, so that nobody sees half of one."""

from __future__ import annotations

import os
import shutil

from orchestrator.driver_lock import DriverLock, is_driven
from orchestrator.errors import UsageError
from orchestrator.storage.atomic import storage_errors
from orchestrator.storage.claim import Claim
from orchestrator.storage.mirror import Mirror
from orchestrator.storage.run_folder import RunFolder


def remove_run(run: RunFolder) -> None:
    """Remove a run's folder; its rows in the results tables stay.

    Raises:
        UsageError: It is being driven.
        UnavailableError: The storage can't be written.
    """
    if run.mirror is not None:
        _remove_published(run, run.mirror)
        return
    gone = run.path.with_name(f".{run.run_id}.removed")
    with DriverLock(run), storage_errors(run.path):
        # Lists pass over hidden names: from here on it is not there, however long removing takes.
        os.replace(run.path, gone)
        shutil.rmtree(gone)


def _remove_published(run: RunFolder, mirror: Mirror) -> None:
    if is_driven(run):
        raise UsageError(f"Run {run.run_id} goes on: it can't be removed.")
    Claim(mirror).take()
    mirror.objects.remove(run.spec.name)  # Without it, it is no run.
    mirror.objects.parent.remove_folder(run.run_id)
    with storage_errors(run.path):
        shutil.rmtree(run.path)
