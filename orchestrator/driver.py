"""One run, from its request to its record: prepare, train, gather, record."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from orchestrator.catalog.definition import Job
from orchestrator.data.manifest import Manifest
from orchestrator.data.prepare import PreparedDataset, prepare
from orchestrator.data.source import Source
from orchestrator.errors import LaunchJobError, RunFailedError, StoppedError
from orchestrator.events import EventLog
from orchestrator.observer import Observer
from orchestrator.place import Place
from orchestrator.provenance import Provenance
from orchestrator.results.report import Report, request_fields, score_fields
from orchestrator.results.tables import ResultsStore
from orchestrator.spec import RunSpec
from orchestrator.states import RunState
from orchestrator.storage import RunFolder, Storage, write_json
from orchestrator.tally import Tally, merge
from orchestrator.training.device import choose_device
from orchestrator.training.failure import Failure, clear_failures, first_failure
from orchestrator.training.group import TrainingGroup
from orchestrator.training.monitor import Update
from orchestrator.training.task import WorkerResult, WorkerTask


@dataclass(kw_only=True)
class Driver:
    """Drives one run."""

    #: What was asked for.
    spec: RunSpec
    #: The job.
    job: Job
    #: The rows.
    source: Source
    #: Where everything is kept.
    storage: Storage
    #: Where workers run.
    place: Place
    #: Who watches.
    observer: Observer
    _phases: dict[str, float] = field(default_factory=dict)
    _fields: dict[str, Any] = field(default_factory=dict)

    def run(self) -> Report:
        """Do the run and record it, however it ends.

        Raises:
            RunFailedError: It failed; the report says why.
            UsageError: The job or the data turned out to be wrong.
            UnavailableError: The storage or Ray can't be used.
            StoppedError: The user interrupted it.
        """
        self._began = datetime.now(UTC)
        self._begin()
        try:
            prepared = self._prepare()
            results = self._train(prepared)
            self._gather(results, prepared.manifest)
        except KeyboardInterrupt as err:
            self._finish(RunState.STOPPED)
            raise StoppedError("Stopped.", hint=f"What it left is in {self.folder.path}.") from err
        except Exception as err:
            self._finish(RunState.FAILED, error=_describe(err, first_failure(self.folder)))
            raise
        return self._finish(RunState.SUCCEEDED)

    @property
    def folder(self) -> RunFolder:
        """The run's folder."""
        return self.storage.run(self.spec.run_id)

    def _begin(self) -> None:
        provenance = Provenance.collect(self.job.path)
        self._fields = {"device": self.spec.device, "versions": provenance.versions}
        self._request = {"spec": self.spec.to_dict(), "provenance": provenance.to_dict()}
        write_json(self.folder.spec, self._request)
        self._enter(RunState.QUEUED)

    def _prepare(self) -> PreparedDataset:
        self._enter(RunState.PREPARING)
        with self._phase("prepare"):
            prepared = prepare(
                self.spec.dataset,
                self.source,
                streams=self.spec.streams,
                storage=self.storage,
                progress=lambda split, done, total: self.observer.progress(
                    f"Sharding {self.spec.dataset} ({split})", done, total
                ),
            )
        mark = prepared.manifest.fingerprint
        self._fields |= {
            "dataset_fingerprint": mark,
            "train_rows": prepared.manifest.rows("train"),
        }
        write_json(self.folder.spec, {**self._request, "dataset_fingerprint": mark})
        return prepared

    def _train(self, prepared: PreparedDataset) -> list[WorkerResult]:
        with self._phase("start"):
            self.place.start()
        if self.place.dashboard:
            self.observer.dashboard(self.place.dashboard)
        self._enter(RunState.RUNNING)
        clear_failures(self.folder)
        task = self._task(prepared)
        for rank in range(self.spec.workers):
            self.folder.tally(rank).unlink(missing_ok=True)
        TrainingGroup(task, self.spec.workers, self._hear).run()
        results = [WorkerResult.read(self.folder.tally(r)) for r in range(self.spec.workers)]
        for phase, seconds in results[0].phases.items():
            self._phases[phase] = self._phases.get(phase, 0.0) + seconds
        return results

    def _task(self, prepared: PreparedDataset) -> WorkerTask:
        choice = choose_device(self.spec.device, gpus=self.place.gpus(), workers=self.spec.workers)
        self._fields["device"] = choice.device
        if choice.note is not None:
            self.observer.note(choice.note)
            self._fields["notes"] = (*self.spec.notes, choice.note)
        return WorkerTask(
            spec=self.spec,
            job_path=self.job.path,
            dataset=prepared.folder,
            run=self.folder,
            device=choice.device,
            threads=self.place.threads(self.spec.workers),
        )

    def _gather(self, results: list[WorkerResult], manifest: Manifest) -> None:
        """Merge what the workers counted, and prove that every test row was counted once."""
        tallies: dict[int, Tally] = {}
        for result in results:
            if twice := tallies.keys() & result.tallies.keys():
                raise RunFailedError(f"Test streams {sorted(twice)} were evaluated twice.")
            tallies |= result.tallies
        total = merge(tallies, classes=len(manifest.classes))
        if total.rows != manifest.rows("test"):
            raise RunFailedError(
                f"{total.rows} test rows were evaluated; there are {manifest.rows('test')}."
            )
        history = results[0].history
        seconds = sum(epoch["seconds"] for epoch in history)
        self._fields |= {
            **score_fields(total, manifest.classes),
            "history": history,
            "steps": results[0].steps,
            "train_rows_per_s": manifest.rows("train") * len(history) / seconds,
        }

    def _finish(self, state: RunState, *, error: dict[str, Any] | None = None) -> Report:
        """Write the report, then the tables, then the state: the last says that all is there."""
        now = datetime.now(UTC)
        report = Report(
            **{
                "dataset_fingerprint": "",
                **request_fields(self.spec),
                **self._fields,
                "state": state,
                "error": error,
                "phases": self._phases,
                "started_at": self._began.isoformat(),
                "finished_at": now.isoformat(),
                "wall_s": (now - self._began).total_seconds(),
            }
        )
        report.write(self.folder)
        ResultsStore(storage=self.storage).record(report)
        self._enter(state)
        return report

    def _hear(self, update: Update) -> None:
        """Write news down and pass it on."""
        if update.kind != "step":
            details = {"epoch": update.epoch, "step": update.step, **update.metrics}
            at = datetime.fromtimestamp(update.time_s, UTC)
            EventLog(path=self.folder.events).append(update.kind, at=at, **details)
        self.observer.update(update)

    def _enter(self, state: RunState) -> None:
        EventLog(path=self.folder.events).append("state", state=state.value)
        self.observer.entered(state)

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self._phases[name] = time.perf_counter() - began


def _describe(err: Exception, failure: Failure | None) -> dict[str, Any]:
    place = {"rank": failure.rank, "host": failure.host} if failure else {}
    message = err.message if isinstance(err, LaunchJobError) else str(err)
    return {
        "kind": failure.kind if failure else type(err).__name__,
        "message": message,
        "hint": getattr(err, "hint", None),
        **place,
    }
