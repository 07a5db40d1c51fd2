"""How a run's end is written down."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from orchestrator.errors import LaunchJobError
from orchestrator.records.events import Event, EventLog, active_seconds
from orchestrator.records.metric_log import running_metrics
from orchestrator.records.timeline import TimeLine, phase
from orchestrator.results.report import Report, request_fields
from orchestrator.results.tables import ResultsStore
from orchestrator.spec import RunSpec
from orchestrator.states import RunState
from orchestrator.storage.storage import Storage
from orchestrator.training.diagnosis import diagnose
from orchestrator.training.failure import Failure
from orchestrator.training.group import WorkersFailedError


def write_report(
    spec: RunSpec,
    storage: Storage,
    state: RunState,
    *,
    fields: Mapping[str, Any],
    error: Mapping[str, Any] | None = None,
) -> Report:
    """Write the report, then the tables; the state comes after, and says that all is there.

    Args:
        spec: What was asked for.
        storage: Where the run is.
        state: How it ended.
        fields: What came out, as fields of the report.
        error: Why it did not succeed (`describe_error`).

    Raises:
        UnavailableError: The storage can't be written.
    """
    now = datetime.now(UTC)
    folder = storage.run(spec.run_id)
    events = EventLog(path=folder.events).read()
    line = TimeLine.of(events)
    report = Report(
        **{
            "dataset_fingerprint": "",
            "history": tuple(_entry(e) for e in events if e.event == "epoch"),
            **request_fields(spec),
            **fields,
            "state": state,
            "error": error,
            "restarts": tuple(
                {"time": e.time.isoformat(), "event": e.event, **e.details}
                for e in events
                if e.event in ("restart", "resume")
            ),
            "phases": line.totals(),
            "timeline": tuple(line.to_list()),
            "started_at": events[0].time.isoformat(),
            "finished_at": now.isoformat(),
            "wall_s": active_seconds(events, now),
        }
    )
    with phase("record"):
        report.write(folder)
        ResultsStore(storage=storage).record(report, running_metrics(folder))
    return report


def _entry(event: Event) -> dict[str, Any]:
    """Return an epoch's metrics as a history has them."""
    return {name: value for name, value in event.details.items() if name != "step"}


def describe_error(err: Exception) -> dict[str, Any]:
    """Return what a report says of an error, with the rank that it began with."""
    failure = err.__cause__.failure if isinstance(err.__cause__, WorkersFailedError) else None
    return {
        "kind": type(err).__name__,
        "message": err.message if isinstance(err, LaunchJobError) else str(err),
        "cause": diagnose(f"{type(err).__name__}: {err}").cause,
        "hint": getattr(err, "hint", None),
        "exit_code": getattr(err, "exit_code", 1),
        **(_of_failure(failure) if failure else {}),
    }


def _of_failure(failure: Failure) -> dict[str, Any]:
    return {
        "kind": failure.kind,
        "cause": failure.cause,
        **({} if failure.rank is None else {"rank": failure.rank, "host": failure.host}),
        "lines": list(failure.lines),
    }
