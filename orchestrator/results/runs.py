"""The runs of a storage, as their folders tell."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from orchestrator.driver_lock import is_driven, publish_rest
from orchestrator.errors import LaunchJobError
from orchestrator.records.events import Event, EventLog, active_seconds
from orchestrator.results.report import Report
from orchestrator.spec import RunSpec
from orchestrator.states import RunState
from orchestrator.storage.atomic import read_json
from orchestrator.storage.run_folder import RunFolder
from orchestrator.storage.storage import Storage

#: A driver begins within this time of its submission; installing packages takes minutes.
_DUE_S = 900


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """One run in a list."""

    #: Identifier.
    run_id: str
    #: Name given by the user.
    name: str | None
    #: Name of the job.
    job: str
    #: Name of the dataset.
    dataset: str
    #: Workers.
    workers: int
    #: Where it stands.
    state: RunState | None
    #: Epochs that are done.
    epochs_done: int
    #: Epochs that were asked for.
    epochs: int
    #: When it was asked for.
    started_at: datetime
    #: Seconds that it took, or has taken so far.
    wall_s: float
    #: Part of the test rows that were classified rightly, if it was evaluated.
    accuracy: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**asdict(self), "started_at": self.started_at.isoformat()}


def list_runs(
    storage: Storage,
    *,
    limit: int | None,
    on_unreadable: Callable[[LaunchJobError], None] = lambda error: None,
) -> list[RunSummary]:
    """Return the newest runs, newest first; only their folders are read.

    Args:
        storage: Where they are.
        limit: At most so many; None: all.
        on_unreadable: Told of each run whose folder is damaged; the others are returned.
    """
    found = []
    for run_id in itertools.islice(storage.newest_run_ids(), limit):
        try:
            run = storage.run(run_id)
            publish_rest(run)
            found.append(summarise(run))
        except LaunchJobError as err:
            on_unreadable(err)
    return found


def summarise(run: RunFolder) -> RunSummary:
    """Sum up a run from its folder.

    Raises:
        UsageError: Its request or its report is not one.
        UnavailableError: A file can't be read.
    """
    spec = RunSpec.from_dict(read_json(run.spec).get("spec", {}), where=str(run.spec))
    events = EventLog(path=run.events).read()
    state = state_of(run, events)
    # A driver that died before its first word leaves a request and no log.
    asked = datetime.fromtimestamp(run.spec.stat().st_mtime, UTC)
    began = events[0].time if events else asked
    over = state is not None and state.finished
    ended = events[-1].time if over and events else datetime.now(UTC)
    done = [e.details["epoch"] for e in events if e.event == "epoch"]
    return RunSummary(
        run_id=run.run_id,
        name=spec.name,
        job=spec.job,
        dataset=spec.dataset,
        workers=spec.workers,
        state=state,
        epochs_done=max(done, default=0),
        epochs=spec.epochs,
        started_at=began,
        wall_s=active_seconds(events, ended),
        accuracy=Report.read(run).accuracy if run.report.is_file() else None,
    )


def state_of(run: RunFolder, events: list[Event]) -> RunState | None:
    """Return where a run stands, by its events and its driver."""
    state = _last_state(events)
    if (state is None or not state.finished) and not is_driven(run) and not is_due(run, events):
        return RunState.LOST
    return state


def is_due(run: RunFolder, events: list[Event]) -> bool:
    """Return whether a cluster has taken a run so lately that its driver may still be to come."""
    if not run.submission.is_file() or _last_state(events) is not RunState.QUEUED:
        return False
    queued = [e for e in events if e.event == "state"][-1]
    return (datetime.now(UTC) - queued.time).total_seconds() < _DUE_S


def _last_state(events: list[Event]) -> RunState | None:
    states = [e.details["state"] for e in events if e.event == "state"]
    return RunState(states[-1]) if states else None
