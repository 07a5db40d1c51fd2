"""The function that Ray Train calls on every worker.

It is a module of its own so that the driver and the controller, which only refer to it, don't
import TensorFlow.
"""

from __future__ import annotations

from typing import Any


def train_worker(config: dict[str, Any]) -> None:
    """Do the work of one worker; `config["task"]` is its WorkerTask."""
    import ray.train

    from orchestrator.training.worker import run_worker

    context = ray.train.get_context()
    run_worker(
        config["task"],
        rank=context.get_world_rank(),
        workers=context.get_world_size(),
        local_rank=context.get_local_rank(),
        local_workers=context.get_local_world_size(),
    )
