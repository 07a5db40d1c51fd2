"""Tells the workers of a Ray Train group where the others are.

Ray's own TensorflowConfig does this too, but its module imports TensorFlow, in the driver and in
the controller as well, and it turns on the legacy Keras.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

import ray
from ray.train._internal.utils import get_address_and_port
from ray.train.backend import Backend, BackendConfig

from orchestrator.training.pause import heed_sigterm


@dataclass
class TensorFlowClusterConfig(BackendConfig):
    """Sets TF_CONFIG on every worker, from which MultiWorkerMirroredStrategy reads the cluster."""

    @property
    def backend_cls(self) -> type[Backend]:
        """The class that does it."""
        return TensorFlowClusterBackend


class TensorFlowClusterBackend(Backend):
    """Collects an address from each worker and hands the list to all."""

    def on_start(self, worker_group: Any, backend_config: BackendConfig) -> None:
        """Set TF_CONFIG on all workers of a group that has just started."""
        addresses = [f"{host}:{port}" for host, port in worker_group.execute(get_address_and_port)]
        ray.get(
            [
                worker_group.execute_single_async(rank, _join, addresses, rank)
                for rank in range(len(addresses))
            ]
        )


def _join(addresses: list[str], rank: int) -> None:
    """Tell a worker of the others; it runs in the main thread, where signals are taken."""
    heed_sigterm()
    task = {"type": "worker", "index": rank}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
