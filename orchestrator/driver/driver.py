"""One run, from its request to its record: prepare, train, gather, record."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from orchestrator.catalog.definition import Job
from orchestrator.data.manifest import Manifest
from orchestrator.data.plan import TrainingPlan
from orchestrator.data.prepare import PreparedDataset
from orchestrator.data.source import Source
from orchestrator.driver.conclusion import describe_error, write_report
from orchestrator.driver.place import Place
from orchestrator.driver.preparation import Preparation
from orchestrator.driver.showing import Showing
from orchestrator.driver.supervisor import Supervisor
from orchestrator.errors import RunFailedError, StoppedError, UsageError
from orchestrator.interrupts import Interrupts
from orchestrator.observer import Observer
from orchestrator.provenance import Provenance
from orchestrator.records.events import EventLog
from orchestrator.records.predictions import Predictions
from orchestrator.records.tally import Tally, merge
from orchestrator.records.timeline import Phase, at, take_noted
from orchestrator.results.report import Report, score_fields
from orchestrator.spec import RunSpec
from orchestrator.states import RunState
from orchestrator.storage.atomic import read_json, write_json
from orchestrator.storage.attempt import AttemptFolder
from orchestrator.storage.run_folder import RunFolder
from orchestrator.storage.storage import Storage
from orchestrator.training.checkpoint import CheckpointStore, place_of
from orchestrator.training.device import choose_device
from orchestrator.training.mailbox import Update
from orchestrator.training.task import WorkerResult, WorkerTask


@dataclass(kw_only=True)
class Driver:
    """Drives one run."""

    #: What was asked for.
    spec: RunSpec
    #: The job.
    job: Job
    #: The rows, or the shards that were made of them.
    data: Source | PreparedDataset
    #: Steps, and who reads which rows.
    plan: TrainingPlan
    #: Where everything is kept.
    storage: Storage
    #: Where workers run.
    place: Place
    #: Signals of this process.
    interrupts: Interrupts
    #: Who watches.
    observer: Observer
    #: Whether to start anew if the run has checkpoints and none of them is whole.
    restart: bool = False
    #: When the command was given, in seconds since 1970.
    began_s: float = field(default_factory=time.time)
    #: Whether whoever submitted the run has written it down, and that it is queued.
    queued: bool = False
    _request: dict[str, Any] = field(default_factory=dict)
    _phases: set[Phase] = field(default_factory=set)
    _fields: dict[str, Any] = field(default_factory=dict)

    def run(self) -> Report:
        """Do the run and record it, however it ends.

        Raises:
            RunFailedError: It failed; the report says why.
            UsageError: The job or the data turned out to be wrong.
            UnavailableError: The storage or Ray can't be used.
            StoppedError: The user interrupted it.
        """
        self._begin()
        self.observer.began(
            self.folder,
            epochs=self.plan.epochs,
            rows=self.plan.rows,
            steps_per_epoch=self.plan.steps_per_epoch,
        )
        try:
            prepared = self._prepare()
            results = self._train(prepared)
            self._gather(results, prepared.manifest)
        except (KeyboardInterrupt, SystemExit, StoppedError) as err:
            self._finish(RunState.STOPPED)
            raise StoppedError(
                f"Stopped{self._done_so_far()}.",
                hint=f"`launch-job resume {self.spec.run_id}` goes on.",
            ) from err
        except Exception as err:
            self._finish(RunState.FAILED, error=describe_error(err))
            raise
        return self._finish(RunState.SUCCEEDED)

    @property
    def folder(self) -> RunFolder:
        """The run's folder."""
        return self.storage.run(self.spec.run_id)

    @property
    def _log(self) -> EventLog:
        return EventLog(path=self.folder.events)

    def _begin(self) -> None:
        """Write the request down, or that it is taken up again."""
        provenance = Provenance.collect(self.job.path)
        self._fields = {"device": self.spec.device, "versions": provenance.versions}
        self._showing = Showing(self.place, self.observer, self.plan)
        self._told = {e.details["epoch"] for e in self._log.read() if e.event == "epoch"}
        states = self._log.states()
        before = states[:-1] if self.queued else states
        if states:
            self._request = {**read_json(self.folder.spec), "spec": self.spec.to_dict()}
        else:
            self._request = {"spec": self.spec.to_dict(), "provenance": provenance.to_dict()}
        if before and not before[-1].finished:
            self._enter(RunState.LOST)
        if before:
            self._resume(provenance)
        write_json(self.folder.spec, self._request)
        if not self.queued:
            self.folder.stop_request.unlink(missing_ok=True)
            self._enter(RunState.QUEUED)
        self._log_noted()

    def _resume(self, now: Provenance) -> None:
        """Write down that the run goes on, and what has changed since it began."""
        before = self._request["provenance"]
        changed = [
            f"{name} {old} → {now.versions.get(name)}"
            for name, old in before["versions"].items()
            if now.versions.get(name) != old
        ]
        if now.code_digest != before["code_digest"]:
            changed.append(f"the job's file {self.job.path}")
        self._log.append("resume", workers=self.spec.workers, changed=changed)
        if changed:
            note = f"Since this run began, these have changed: {', '.join(changed)}."
            self.observer.note(note)
            self.spec = dataclasses.replace(self.spec, notes=(*self.spec.notes, note))

    def _prepare(self) -> PreparedDataset:
        self._enter(RunState.PREPARING)
        prepared = Preparation(
            spec=self.spec,
            data=self.data,
            storage=self.storage,
            place=self.place,
            observer=self.observer,
        ).run()
        mark = prepared.manifest.fingerprint
        if self._request.setdefault("dataset_fingerprint", mark) != mark:
            raise UsageError(
                f"The rows of {self.spec.dataset} are not those that this run began with.",
                hint="Bring the old files back, or start a new run.",
            )
        self._fields |= {
            "dataset_fingerprint": mark,
            "train_rows": prepared.manifest.rows("train"),
        }
        self._request["dataset"] = prepared.manifest.info.to_dict()
        write_json(self.folder.spec, self._request)
        return prepared

    def _train(self, prepared: PreparedDataset) -> list[WorkerResult]:
        device = self._choose_device()
        self._enter(RunState.RUNNING)
        self._showing.tell()
        self._log_noted()
        supervisor = Supervisor(
            spec=self.spec,
            folder=self.folder,
            place=self.place,
            device=device,
            task=lambda attempt, workers, start: self._task(
                prepared, device, attempt, workers, start
            ),
            restart=self.restart,
            interrupts=self.interrupts,
            observer=self.observer,
            hear=self._hear,
        )
        try:
            results = supervisor.run()
        finally:
            self._fields["workers"] = supervisor.workers or self.spec.workers
        self._showing.conclude()
        for entry in results[0].history:
            self._log_epoch(entry, datetime.now(UTC))
        return results

    def _choose_device(self) -> Literal["cpu", "gpu"]:
        choice = choose_device(
            self.spec.device, gpus=self.place.gpus(), workers=self.spec.least_workers
        )
        self._fields["device"] = choice.device
        if choice.note is not None:
            self.observer.note(choice.note)
            self._fields["notes"] = (*self.spec.notes, choice.note)
        return choice.device

    def _task(
        self,
        prepared: PreparedDataset,
        device: Literal["cpu", "gpu"],
        attempt: AttemptFolder,
        workers: int,
        start: str | None,
    ) -> WorkerTask:
        return WorkerTask(
            spec=self.spec,
            job=self.job.declaration,
            dataset=prepared.folder,
            objects=prepared.objects,
            attempt=attempt,
            device=device,
            threads=self.place.threads(workers),
            versions=self._fields["versions"],
            checkpoint=start,
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
        said = Predictions.merge([result.predictions for result in results])
        said.check(rows=total.rows)
        said.write(self.folder.predictions)
        history = results[0].history
        seconds = sum(epoch["seconds"] for epoch in history)
        self._fields |= {
            **score_fields(total, manifest.classes),
            "history": history,
            "steps": results[0].steps,
            "train_rows_per_s": manifest.rows("train") * len(history) / seconds,
        }

    def _finish(self, state: RunState, *, error: dict[str, Any] | None = None) -> Report:
        self._log_noted()
        report = write_report(self.spec, self.storage, state, fields=self._fields, error=error)
        self._log_noted()
        self._enter(state, **({"error": error} if error else {}))
        return report

    def _done_so_far(self) -> str:
        """Return, in words, up to where a checkpoint holds what was done."""
        store = CheckpointStore(folder=self.folder.checkpoints)
        newest = store.newest(on_damaged=lambda _: None)
        return f" at {place_of(newest)}" if newest else " before the first checkpoint"

    def _hear(self, update: Update) -> None:
        """Write news down and pass it on; an epoch that was told before is no news."""
        self._showing.hear(update)
        at = datetime.fromtimestamp(update.time_s, UTC)
        if update.phase is not None:
            self._log_phases([update.phase])
            return
        if update.kind == "epoch":
            if not self._log_epoch(update.metrics, at, step=update.step):
                return
        elif update.kind != "step":
            details = {"epoch": update.epoch, "step": update.step, **update.metrics}
            self._log.append(update.kind, at=at, **details)
        self.observer.update(update)

    def _log_epoch(self, entry: Mapping[str, Any], at: datetime, *, step: int = 0) -> bool:
        """Write an epoch's metrics down, if that wasn't done before."""
        if entry["epoch"] in self._told:
            return False
        self._told.add(entry["epoch"])
        self._log.append("epoch", at=at, **{"step": step, **entry})
        return True

    def _log_noted(self) -> None:
        """Write down the phases that this process has gone through."""
        self._log_phases(take_noted())

    def _log_phases(self, phases: Iterable[Phase]) -> None:
        """Write phases down, each once: a worker of a later attempt inherits the same ones again.

        What began before the run is none of its own, such as the import of a fork server that was
        there.
        """
        for one in phases:
            if one not in self._phases and one.began_s >= self.began_s:
                self._phases.add(one)
                self._log.append("phase", at=at(one.ended_s), **one.to_details())

    def _enter(self, state: RunState, **details: Any) -> None:
        self._log.append("state", state=state.value, **details)
        self.observer.entered(state)
