"""The Ray Train group of a run, as its driver sees it: started, listened to, waited for."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from typing import Any

from orchestrator.errors import RunFailedError
from orchestrator.training.failure import first_failure
from orchestrator.training.monitor import Monitor, Update
from orchestrator.training.task import WorkerTask

#: How often news of the run is collected.
_POLL_S = 0.1


class TrainingGroup:
    """A Ray Train group at work, and the mailbox that its news comes through.

    Ray must be up.

    Args:
        task: What all workers are told.
        workers: Number of workers.
        hear: Called with each piece of news, in the thread that calls `run`.
    """

    def __init__(self, task: WorkerTask, workers: int, hear: Callable[[Update], None]) -> None:
        import ray

        self._hear = hear
        self._monitor: Any = ray.remote(num_cpus=0)(Monitor).remote()
        self._trainer = _trainer(task, workers, self._monitor)
        self._run = task.run
        self._error: BaseException | None = None

    def run(self) -> None:
        """Train to the end, passing news on.

        Raises:
            LaunchJobError: What the first worker that failed said.
        """
        # In a thread, so that this one hears news and Ctrl-C.
        thread = threading.Thread(target=self._fit, name="ray-train", daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(_POLL_S)
            self._collect()
        if self._error is not None:
            failure = first_failure(self._run)
            cause = failure.to_error() if failure else RunFailedError(str(self._error))
            raise cause from self._error

    def _fit(self) -> None:
        try:
            self._trainer.fit()
        except BaseException as err:  # noqa: BLE001 - it is raised again in the other thread
            self._error = err

    def _collect(self) -> None:
        import ray

        for update in ray.get(self._monitor.drain.remote()):
            self._hear(update)


def _trainer(task: WorkerTask, workers: int, monitor: Any) -> Any:
    from ray.train.v2.api.config import FailureConfig, RunConfig, ScalingConfig
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    from orchestrator.training.backend import TensorFlowClusterConfig
    from orchestrator.training.entry import train_worker

    return DataParallelTrainer(
        train_worker,
        train_loop_config={"task": dataclasses.replace(task, monitor=monitor)},
        backend_config=TensorFlowClusterConfig(),
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=task.device == "gpu"),
        run_config=RunConfig(  # type: ignore[arg-type]  # Ray's annotation names its old class.
            name=task.spec.run_id,
            storage_path=str(task.run.ray),
            failure_config=FailureConfig(max_failures=0),
        ),
    )
