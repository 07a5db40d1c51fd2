"""Has a run trained to its end, whatever dies on the way.

An attempt is one group of workers. It begins with the newest whole checkpoint, on as many workers
as there is room for, and ends in one of three ways: training is done; it was paused, because the
run is to stop, because a host is about to go, or because there is room for more workers; or it
failed. Only failures count against `--retries`, and only those that may not come again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from orchestrator.driver.place import Place, await_room
from orchestrator.errors import LaunchJobError, RunFailedError, StoppedError
from orchestrator.interrupts import Interrupts
from orchestrator.observer import Observer
from orchestrator.records.events import EventLog
from orchestrator.records.timeline import phase
from orchestrator.spec import RunSpec
from orchestrator.storage.atomic import leave_request, read_json
from orchestrator.storage.attempt import AttemptFolder
from orchestrator.storage.run_folder import RunFolder
from orchestrator.training.abandoned import release_abandoned_groups
from orchestrator.training.checkpoint import CheckpointStore, place_of
from orchestrator.training.group import TrainingGroup, WorkersFailedError
from orchestrator.training.mailbox import Update
from orchestrator.training.task import WorkerResult, WorkerTask


@dataclass(frozen=True, kw_only=True)
class Interruption:
    """Why an attempt ended before training was done, and another one follows."""

    #: A word for it: `killed`, `out-of-memory`, `preempted`, `resized` and so on.
    cause: str
    #: A sentence for people.
    message: str
    #: Whether it counts against `--retries`.
    counts: bool
    #: Rank and host of the worker that it began with, if it was one.
    where: dict[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True)
class Supervisor:
    """Runs attempt after attempt."""

    #: What was asked for.
    spec: RunSpec
    #: The run's folder.
    folder: RunFolder
    #: Where workers run; Ray is up.
    place: Place
    #: What they compute on.
    device: Literal["cpu", "gpu"]
    #: Returns what the workers of an attempt are told: so many, that go on from a checkpoint.
    task: Callable[[AttemptFolder, int, str | None], WorkerTask]
    #: Whether to start anew if no checkpoint is whole.
    restart: bool
    #: Signals of this process.
    interrupts: Interrupts
    #: Who watches.
    observer: Observer
    #: Called with each piece of news.
    hear: Callable[[Update], None]
    #: Workers of the attempt that is going on, or was the last.
    workers: int = 0
    _attempt: AttemptFolder = field(init=False)
    _failures: int = 0
    _start: str | None = None
    _before: tuple[str, str, str | None] | None = None

    def run(self) -> list[WorkerResult]:
        """Train until it is done; return what each worker left.

        Raises:
            StoppedError: The run was asked to stop; a checkpoint holds all that was done.
            RunFailedError: It failed too often, or in a way that would come again.
            UsageError: The job or the data is wrong.
            UnavailableError: The storage can't be used, or there was no room in time.
        """
        with self.interrupts.deferred():
            while True:
                self._start = self._choose_checkpoint()
                self.workers = self._find_room()
                self._attempt = self.folder.new_attempt()
                interruption = self._go_on()
                if interruption is None:
                    return self._results()
                self._record(interruption)
                release_abandoned_groups()

    def _go_on(self) -> Interruption | None:
        """Train until something ends it; return what did, or None if training is done."""
        task = self.task(self._attempt, self.workers, self._start)
        group = TrainingGroup(task, self.workers, self._hear, self.place.worker_environment)
        try:
            group.run(self.interrupts)
        except WorkersFailedError as err:
            return self._judge(err)
        if all(path.exists() for path in self._result_files()):
            return None
        if self.folder.stop_request.exists():
            raise StoppedError("Stopped.")
        return self._pause()

    def _judge(self, err: WorkersFailedError) -> Interruption:
        """Return the failure as an interruption, unless it ends the run.

        Raises:
            LaunchJobError: It does.
        """
        failure = err.failure
        self._failures += 1
        before, self._before = self._before, (failure.kind, failure.message, self._start)
        if not failure.retryable or (failure.cause == "error" and before == self._before):
            # The same again, without a step forward in between, will not go away by itself.
            raise failure.to_error() from err
        if self._failures > self.spec.retries:
            error = failure.to_error()
            if self.spec.retries:
                error.message += (
                    f" (It was failure {self._failures}; --retries {self.spec.retries}.)"
                )
            raise error from err
        return Interruption(
            cause=failure.cause,
            message=failure.summary,
            counts=True,
            where={} if failure.rank is None else {"rank": failure.rank, "host": failure.host},
        )

    def _pause(self) -> Interruption:
        """Return why workers paused, none of which has failed."""
        for path in self._attempt.preemptions():
            rank, host = int(path.stem.rpartition("-")[2]), read_json(path)["host"]
            return Interruption(
                cause="preempted",
                message=f"Rank {rank} on {host} was told to end (SIGTERM).",
                counts=False,
                where={"rank": rank, "host": host},
            )
        return Interruption(
            cause="resized", message="There is room for more workers.", counts=False
        )

    def _record(self, interruption: Interruption) -> None:
        """Write down that training starts again, and say so."""
        newest = CheckpointStore(folder=self.folder.checkpoints).newest(on_damaged=lambda _: None)
        EventLog(path=self.folder.events).append(
            "restart",
            attempt=self._attempt.number,
            cause=interruption.cause,
            message=interruption.message,
            workers=self.workers,
            checkpoint=newest,
            counts=interruption.counts,
            **interruption.where,
        )
        counted = f" (failure {self._failures} of {self.spec.retries} that are allowed)"
        self.observer.note(
            f"{interruption.message.rstrip('.')}. Training goes on from {place_of(newest)}"
            f"{counted if interruption.counts else ''}."
        )

    def _choose_checkpoint(self) -> str | None:
        """Return the newest whole checkpoint's name; None to begin at the beginning.

        Raises:
            RunFailedError: There are some, but all of them are damaged.
        """
        store = CheckpointStore(folder=self.folder.checkpoints, keep=self.spec.keep)
        store.sweep()
        damaged: list[LaunchJobError] = []
        found = store.newest(on_damaged=damaged.append)
        for err in damaged:
            EventLog(path=self.folder.events).append("checkpoint_damaged", message=err.message)
            self.observer.note(f"A checkpoint is passed over: {err.message}")
        if found is not None or not damaged:
            return found
        if not self.restart:
            raise RunFailedError(
                f"All {len(damaged)} checkpoints of run {self.folder.run_id} are damaged.",
                hint=f"`launch-job resume {self.folder.run_id} --restart` trains from the "
                "beginning again.",
            )
        self.observer.note("No checkpoint is whole, so training starts from the beginning.")
        store.clear()
        return None

    def _find_room(self) -> int:
        with phase("queue"):
            return await_room(
                self.place,
                least=self.spec.least_workers,
                most=self.spec.workers,
                device=self.device,
                wait_s=self.spec.wait_s,
                tell=self.observer.note,
                stop=lambda: self.interrupts.noted is not None or self.folder.stop_request.exists(),
            )

    def _hear(self, update: Update) -> None:
        self.hear(update)
        wants_more = update.kind == "checkpoint" and self.workers < self.spec.workers
        # Others may have ended, or nodes have joined, since this attempt began.
        if wants_more and self.place.spare(self.device) > 0:
            leave_request(self._attempt.resize_request, by="room for more workers")

    def _result_files(self) -> list[Path]:
        return [self._attempt.result(rank) for rank in range(self.workers)]

    def _results(self) -> list[WorkerResult]:
        return [WorkerResult.read(self._attempt, rank) for rank in range(self.workers)]
