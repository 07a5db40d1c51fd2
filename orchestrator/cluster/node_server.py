"""A fork server on each node of a cluster that was joined, for as long as one run.

TensorFlow is then imported once a node, while Ray Train gets ready, and not once a worker after
that. A node on which the server is not there, or not yet, starts its workers as Ray does.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from orchestrator.cluster import forkclient
from orchestrator.cluster.census import Node
from orchestrator.cluster.server_environment import server_environment


class NodeServers:
    """The fork servers of one run; Ray must be joined.

    Args:
        session: Folder of Ray's session, which has the same name on every node.
    """

    def __init__(self, session: Path) -> None:
        # Beside Ray's own sockets: only its user can connect, and what is left goes with them. The
        # name is new, since a socket can be bound once.
        name = f"fork-{secrets.token_hex(4)}-{forkclient.RAYLET}"
        self._address = str(session / "sockets" / name)
        self._keepers: dict[str, Any] = {}

    @property
    def worker_environment(self) -> dict[str, Any]:
        """The runtime environment that has Ray fork a run's workers."""
        client = ["-I", "-S", forkclient.__file__, self._address]
        return {"py_executable": shlex.join([sys.executable, *client])}

    def start_on(self, nodes: Iterable[Node]) -> None:
        """Begin to start one on each node that has none, and don't wait for it."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        keeper: Any = ray.remote(num_cpus=0)(_Keeper)
        for node in nodes:
            if node.node_id not in self._keepers:
                there = NodeAffinitySchedulingStrategy(node.node_id, soft=False)
                self._keepers[node.node_id] = keeper.options(scheduling_strategy=there).remote(
                    self._address
                )


class _Keeper:
    """An actor that starts the server on its node; the server ends with it, and it with the run."""

    def __init__(self, address: str) -> None:
        here = forkclient.address_here(address)
        request = json.dumps({"address": here, "parent": os.getpid()})
        self._server = subprocess.Popen(
            [sys.executable, "-m", "orchestrator.cluster.forkserver", request],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env=server_environment(),
        )
