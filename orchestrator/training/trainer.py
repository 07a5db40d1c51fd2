"""Ray Train's trainer of a run, without the processes that a run doesn't need.

Whoever imports this imports Ray Train.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from ray.train import Result
from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.execution.context import TrainRunContext
from ray.train.v2._internal.execution.controller import TrainController
from ray.train.v2._internal.execution.scaling_policy import FixedScalingPolicy
from ray.train.v2.api.config import FailureConfig, RunConfig, ScalingConfig
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

from orchestrator.training.backend import TensorFlowClusterConfig
from orchestrator.training.entry import train_worker
from orchestrator.training.task import WorkerTask

#: Of what Ray Train adds to each training, what starts a process for nothing: the manager of Ray
#: Data's datasets, of which a run has none; and what gives placement groups of dead controllers
#: back, which the supervisor does (`abandoned.py`). The latter asks the dashboard each second
#: whether the controller lives, and waits for it at the end of a run.
_NOT_NEEDED = (DatasetsCallback, PlacementGroupCleanerCallback)


class UncoordinatedScaling(FixedScalingPolicy):
    """So many workers, asked for by their placement group alone.

    Ray's own one also tells a coordinator what it wants, which begins as a process of its own, and
    is waited for before any worker starts. The run has seen that there is room (`place.py`).
    """

    def after_controller_start(self, train_run_context: TrainRunContext) -> None:
        """Tell nobody."""

    def _maybe_send_resource_request(self) -> None:
        """Tell nobody."""


class Trainer(DataParallelTrainer):
    """Ray's, whose controller runs in the process that calls `fit`."""

    def _create_default_callbacks(self) -> list[Any]:
        callbacks = super()._create_default_callbacks()
        return [callback for callback in callbacks if not isinstance(callback, _NOT_NEEDED)]

    def _initialize_and_run_controller(self, **parts: Any) -> Result:
        scaling: Any = self.scaling_config  # Ray's annotation names its old class.
        policy = UncoordinatedScaling(scaling)
        controller = TrainController(**{**parts, "scaling_policy": policy})
        asyncio.run(controller.run())
        return controller.get_result()


def trainer(task: WorkerTask, workers: int, environment: Mapping[str, Any]) -> Trainer:
    """Return the trainer of an attempt.

    Args:
        task: What all workers are told.
        workers: Number of workers.
        environment: What Ray's runtime environment of the workers has besides that of the run.
    """
    return Trainer(
        train_worker,
        train_loop_config={"task": task},
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
