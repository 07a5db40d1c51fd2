"""Looking at the nodes of a cluster before a run's workers may be put there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from orchestrator.cluster.census import Node
from orchestrator.cluster.probe import Sight, look
from orchestrator.storage.atomic import storage_errors
from orchestrator.storage.storage import Storage

#: How long a node may take to start a process and look at its files.
_LOOK_S = 60


class Inspection:
    """What the nodes of a cluster lack; each is looked at once. Ray must be joined.

    Args:
        storage: What every node has to see.
        files: What every node has to have besides, with the same content.
    """

    def __init__(self, *, storage: Storage, files: Iterable[Path] = ()) -> None:
        self._storage = storage
        self._files = tuple(str(path) for path in files)
        self._complaints: dict[str, str | None] = {}

    def complaints(self, nodes: Iterable[Node]) -> dict[str, str]:
        """Return what nodes lack, in words, by their identifiers: nothing for those that are fit.

        Nodes that no worker can be put on are not looked at.

        Raises:
            UnavailableError: This node can't write the storage.
        """
        asked = [n for n in nodes if n.total.get("CPU", 0) >= 1 or n.total.get("GPU", 0) >= 1]
        if new := [node for node in asked if node.node_id not in self._complaints]:
            self._look_at(new)
        known = {node.node_id: self._complaints[node.node_id] for node in asked}
        return {node_id: text for node_id, text in known.items() if text is not None}

    def _look_at(self, nodes: list[Node]) -> None:
        folder = self._storage.runs
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=folder, prefix=".seen.") as mark:
                # Another folder at the same path would not have this in it.
                mark.write(os.urandom(16))
                mark.flush()
                os.fsync(mark.fileno())
                expected = look([mark.name, *self._files])
                for node_id, complaint in _ask(nodes, expected).items():
                    if complaint is not None and mark.name in complaint:
                        complaint = f"does not see the storage {self._storage.path}"
                    self._complaints[node_id] = complaint


def _ask(nodes: list[Node], expected: Sight) -> dict[str, str | None]:
    """Return what each node lacks, by its identifier; None for those that lack nothing."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task: Any = ray.remote(num_cpus=0, max_retries=1)(look)
    asked = {}
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node.node_id, soft=False)
        asked[node.node_id] = task.options(scheduling_strategy=there).remote(list(expected.files))
    ray.wait(list(asked.values()), num_returns=len(asked), timeout=_LOOK_S)
    return {node_id: _answer(sight, expected) for node_id, sight in asked.items()}


def _answer(sight: Any, expected: Sight) -> str | None:
    import ray

    try:
        found: Sight = ray.get(sight, timeout=0)
    except ray.exceptions.GetTimeoutError:
        ray.cancel(sight, force=True)
        return f"has not answered for {_LOOK_S} s"
    except Exception as err:  # noqa: BLE001 - whatever a node can't do, it is named
        return _why(err)
    return found.complaint(expected)


def _why(err: Exception) -> str:
    """Say why a node could not even look."""
    if "No module named 'orchestrator'" in str(err):
        return "has no launch-job"
    last = [line for line in str(err).splitlines() if line.strip()][-1:]
    return f"can't run anything: {last[0].strip() if last else type(err).__name__}"
