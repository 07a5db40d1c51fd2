"""All that is known of a run, as its folder tells: its request, its origin, what happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.records.events import Event, EventLog
from orchestrator.results.report import Report
from orchestrator.results.runs import RunSummary, summarise
from orchestrator.spec import RunSpec
from orchestrator.storage.atomic import read_json
from orchestrator.storage.run_folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What a run's folder holds, whether the run is over or not."""

    #: Where it stands.
    summary: RunSummary
    #: What was asked for.
    spec: RunSpec
    #: Code digest, git commit and diff, versions and host.
    provenance: Mapping[str, Any]
    #: Fingerprint of the prepared dataset; None before it was prepared.
    dataset_fingerprint: str | None
    #: What happened, oldest first.
    events: tuple[Event, ...]
    #: Names of the checkpoints that are kept, oldest first.
    checkpoints: tuple[str, ...]
    #: What the run's folder holds: a word for each file or folder that is there, and its path.
    files: Mapping[str, str]
    #: Why it did not succeed.
    error: Mapping[str, Any] | None = field(default=None)

    @classmethod
    def read(cls, run: RunFolder) -> RunRecord:
        """Read a run's folder.

        Raises:
            UsageError: Its request or its report is not one.
            UnavailableError: A file can't be read.
        """
        request = read_json(run.spec)
        return cls(
            summary=summarise(run),
            spec=RunSpec.from_dict(request.get("spec", {}), where=str(run.spec)),
            provenance=request.get("provenance", {}),
            dataset_fingerprint=request.get("dataset_fingerprint"),
            events=tuple(EventLog(path=run.events).read()),
            checkpoints=_checkpoints(run),
            files=_files(run),
            error=Report.read(run).error if run.report.is_file() else None,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            **self.summary.to_dict(),
            "spec": self.spec.to_dict(),
            "provenance": dict(self.provenance),
            "dataset_fingerprint": self.dataset_fingerprint,
            "events": [
                {"time": e.time.isoformat(), "event": e.event, **e.details} for e in self.events
            ],
            "checkpoints": list(self.checkpoints),
            "files": dict(self.files),
            "error": self.error,
        }


def _checkpoints(run: RunFolder) -> tuple[str, ...]:
    """Return the names of whole checkpoints; one that is being written has a hidden name."""
    if not run.checkpoints.is_dir():
        return ()
    return tuple(sorted(p.name for p in run.checkpoints.iterdir() if not p.name.startswith(".")))


def _files(run: RunFolder) -> dict[str, str]:
    named = {
        "report": run.report,
        "model": run.model,
        "checkpoints": run.checkpoints,
        "tensorboard": run.tensorboard,
        "logs": run.logs,
    }
    return {name: str(path) for name, path in named.items() if path.exists()}
