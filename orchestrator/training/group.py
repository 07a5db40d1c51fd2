"""The Ray Train group of a run, as its driver sees it: started, listened to, waited for."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.errors import StoppedError
from orchestrator.interrupts import Interrupts
from orchestrator.storage.atomic import leave_request
from orchestrator.training.failure import Failure, first_failure
from orchestrator.training.monitor import Monitor, Update
from orchestrator.training.task import WorkerTask

#: How often signals and the workers' results are looked at.
_POLL_S = 0.1

#: How long the mailbox waits for news, each time it is asked: asked ten times a second, it and this
#: process took 3% of a core from training.
_NEWS_S = 1.0

#: How much longer it may take to answer, before it counts as out of reach.
_REPLY_S = 5.0

#: Workers that are to stop have this long to take their next steps and write a checkpoint.
_STOP_S = 60.0

#: Once every worker has left its result, Ray Train has this long to notice.
_LINGER_S = 10.0


class WorkersFailedError(Exception):
    """The group failed.

    Args:
        failure: What the first worker that failed left.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class TrainingGroup:
    """A Ray Train group at work, and the mailbox that its news comes through.

    Ray must be up.

    Args:
        task: What all workers are told.
        workers: Number of workers.
        hear: Called with each piece of news, in the thread that calls `run`.
        environment: What Ray's runtime environment of the workers has besides that of the run.
    """

    def __init__(
        self,
        task: WorkerTask,
        workers: int,
        hear: Callable[[Update], None],
        environment: Mapping[str, Any],
    ) -> None:
        import ray

        self._hear = hear
        # News may be lost with the mailbox; training goes on without, and tells what was done.
        actor: Any = ray.remote(Monitor)
        mailbox = actor.options(num_cpus=0, max_restarts=-1, max_concurrency=2)
        self._monitor: Any = mailbox.remote()
        self._reply: Any = None
        self._late_after = 0.0
        self._trainer = _trainer(task, workers, self._monitor, environment)
        self._attempt = task.attempt
        self._results = [task.attempt.result(rank) for rank in range(workers)]
        self._training = False
        self._error: BaseException | None = None

    def run(self, interrupts: Interrupts) -> None:
        """Train until the workers have ended, passing news on.

        They may have paused: then they have left no results.

        Args:
            interrupts: Signals of this process; the first one asks the workers to stop.

        Raises:
            WorkersFailedError: A worker failed, or Ray Train did.
            StoppedError: The run was to stop, and there was nothing to wait for.
        """
        # In a thread, so that this one hears news and signals.
        thread = threading.Thread(target=self._fit, name="ray-train", daemon=True)
        thread.start()
        stop_by = ended_by = None
        training = True
        while training:
            training = thread.is_alive()  # What was told last is collected once it isn't.
            reachable = self._collect(thread)
            now = time.monotonic()
            if self._wants_to_stop(interrupts):
                if stop_by is None:
                    stop_by = now + _STOP_S
                    self._hear(Update(kind="stopping", time_s=time.time()))
                # What told this process to stop may have ended Ray as well.
                if not self._training or not reachable or now > stop_by:
                    raise StoppedError("Stopped.")
            if all(path.exists() for path in self._results):
                ended_by = ended_by or now + _LINGER_S
                if now > ended_by:
                    return
        if self._error is not None and not all(path.exists() for path in self._results):
            raise WorkersFailedError(first_failure(self._attempt, self._error)) from self._error

    def _wants_to_stop(self, interrupts: Interrupts) -> bool:
        stop_request = self._attempt.run.stop_request
        asked = stop_request.exists()
        if interrupts.noted is not None and not asked:
            leave_request(stop_request, by=interrupts.noted)
            asked = True
        return asked

    def _fit(self) -> None:
        try:
            self._trainer.fit()
        except BaseException as err:  # noqa: BLE001 - it is raised again in the other thread
            self._error = err

    def _collect(self, training: threading.Thread) -> bool:
        """Wait for news a moment, and pass it on; return whether the mailbox can be reached.

        Args:
            training: What is at work meanwhile; where the mailbox is lost, its end is waited for.
        """
        import ray

        if self._reply is None:
            self._reply = self._monitor.drain.remote(_NEWS_S)
            self._late_after = time.monotonic() + _NEWS_S + _REPLY_S
        try:
            replied, _ = ray.wait([self._reply], timeout=_POLL_S)
            # One that is late is waited for the next time: the mailbox has its news no more.
            if not replied:
                return time.monotonic() < self._late_after
            updates = ray.get(self._reply)
        except ray.exceptions.RayActorError:
            self._reply = None
            training.join(_POLL_S)
            return False
        self._reply = None
        for update in updates:
            if update.kind in ("first_step", "evaluating"):
                self._training = update.kind == "first_step"
            self._hear(update)
        return True


def _trainer(task: WorkerTask, workers: int, monitor: Any, environment: Mapping[str, Any]) -> Any:
    from ray.train.v2._internal.callbacks.placement_group_callback import (
        PlacementGroupCleanerCallback,
    )
    from ray.train.v2.api.config import FailureConfig, RunConfig, ScalingConfig
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    from orchestrator.training.backend import TensorFlowClusterConfig
    from orchestrator.training.entry import train_worker

    class Trainer(DataParallelTrainer):
        """Ray's, without the actor that gives placement groups of dead controllers back.

        The supervisor does that (`abandoned.py`). Ray's asks the dashboard each second whether the
        controller lives, and a run that ended while the dashboard was coming up waited 8 s for it.
        """

        def _create_default_callbacks(self) -> list[Any]:
            callbacks = super()._create_default_callbacks()
            return [c for c in callbacks if not isinstance(c, PlacementGroupCleanerCallback)]

    return Trainer(
        train_worker,
        train_loop_config={"task": dataclasses.replace(task, monitor=monitor)},
        backend_config=TensorFlowClusterConfig(),
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=task.device == "gpu"),
        run_config=RunConfig(  # type: ignore[arg-type]  # Ray's annotation names its old class.
            name=task.spec.run_id,
            storage_path=str(task.run.ray),
            worker_runtime_env=dict(environment),
            # Whether to start again, and on how many workers, is for the supervisor to say.
            failure_config=FailureConfig(max_failures=0, controller_failure_limit=0),
        ),
    )
