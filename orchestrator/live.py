"""What a run does at this moment: what its driver leaves, and what its cluster says of its job."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator.driver_lock import is_driven
from orchestrator.errors import LaunchJobError
from orchestrator.launching.submission import Submission
from orchestrator.records.events import EventLog
from orchestrator.storage.run_folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class Live:
    """A run that goes on, as it is now; all None for one that doesn't."""

    #: What it waits for, and who holds that.
    waiting: str | None = None
    #: What it does.
    doing: str | None = None
    #: Address of the cluster that it was submitted to.
    cluster: str | None = None
    #: Its job there.
    job_id: str | None = None
    #: What the cluster says of the job; None if it knows of none or can't be asked.
    job_status: str | None = None

    @classmethod
    def read(cls, run: RunFolder) -> Live:
        """Look at a run, and ask its cluster if it has one."""
        state = EventLog(path=run.events).state()
        if state is None or state.finished:
            return cls()
        left = _left(run) if is_driven(run) else {}
        submission = Submission.read(run)
        return cls(
            waiting=left.get("waiting"),
            doing=_words(left),
            cluster=submission.address if submission else None,
            job_id=submission.job_id if submission else None,
            job_status=_ask(submission) if submission else None,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def _left(run: RunFolder) -> dict[str, Any]:
    """Return what the driver has left; nothing if it can't be read."""
    try:
        found = json.loads(run.live.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _words(left: Mapping[str, Any]) -> str | None:
    if progress := left.get("progress"):
        total = f" of {progress['total']:,}" if progress["total"] else ""
        return f"{progress['what']}: {progress['done']:,}{total}"
    if update := left.get("update"):
        metrics = "".join(f", {name} {value:.4g}" for name, value in update["metrics"].items())
        return f"epoch {update['epoch'] + 1}, step {update['step']}{metrics}"
    return None


def _ask(submission: Submission) -> str | None:
    try:
        return submission.jobs().status(submission.job_id)
    except LaunchJobError:
        return None
