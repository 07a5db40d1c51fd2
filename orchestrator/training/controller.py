"""What an attempt has beside its workers: Ray Train's controller, and the mailbox of its news."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.training.failure import Failure, first_failure
from orchestrator.training.mailbox import Mailbox
from orchestrator.training.task import WorkerTask

if TYPE_CHECKING:
    from ray.actor import ActorHandle


class TrainController(Mailbox):
    """Lives in an actor, so that only that one imports Ray Train.

    Ray Train would start such an actor itself, from the driver, where to import it takes a second
    of processor time. The actor is forked with Ray Train imported (`cluster/forkserver.py`).
    """

    def __init__(self) -> None:
        super().__init__()
        # Told to end, Ray would take no news any more, and still wait for `train` to return.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def train(
        self, task: WorkerTask, workers: int, environment: Mapping[str, Any]
    ) -> Failure | None:
        """Have a group of workers trained to its end.

        Args:
            task: What all workers are told.
            workers: Number of workers.
            environment: What Ray's runtime environment of the workers has besides that of the run.

        Returns:
            The failure that came first, if a worker failed, or Ray Train did.
        """
        from orchestrator.training.trainer import trainer

        try:
            trainer(task, workers, environment).fit()
        except Exception as err:  # noqa: BLE001 - the driver judges it
            return first_failure(task.attempt, err)
        return None


def start_controller(node: str) -> ActorHandle[Any]:
    """Start the controller of an attempt; Ray must be up.

    News is left and taken while it trains.

    Args:
        node: Ray's identifier of the node that it is put on, and ends with.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # One thread each: two that leave news would do so in another order than it was sent in.
    groups = {}
    for method in (TrainController.publish, TrainController.drain):
        ray.method(concurrency_group=method.__name__)(method)
        groups[method.__name__] = 1
    remote: Any = ray.remote  # Its annotation lacks concurrency groups.
    actor = remote(num_cpus=0, concurrency_groups=groups)(TrainController)
    there = NodeAffinitySchedulingStrategy(node, soft=False)
    handle: ActorHandle[Any] = actor.options(scheduling_strategy=there).remote()
    return handle
