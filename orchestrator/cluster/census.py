"""Which nodes a Ray cluster has, what is free on them, and who holds the rest.

Everything comes from the cluster's control store, which each node can reach. Ray's State API knows
it too, but asks the dashboard, which listens on the head alone.
"""

from __future__ import annotations

import socket
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from orchestrator.cluster.metadata import RUN_KEY
from orchestrator.driver.place import Room, amount

#: A host that is up accepts a connection well within this time.
_CONNECT_S = 1.0

#: The group of an attempt that has just ended goes within this time.
_LEAVE_S = 5.0

#: What Ray counts in, as the State API and `ray status` call it.
_KINDS: Mapping[str, str] = {"cpu": "CPU", "gpu": "GPU"}


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node that the cluster believes to be alive."""

    #: Ray's identifier.
    node_id: str
    #: Its address.
    address: str
    #: Port of its raylet.
    port: int
    #: What it has.
    total: Mapping[str, float]
    #: What of that is free.
    free: Mapping[str, float]

    def answers(self) -> bool:
        """Say whether it can be reached: a host that lost its power stays in the list a while."""
        try:
            socket.create_connection((self.address, self.port), timeout=_CONNECT_S).close()
        except OSError:
            return False
        return True


@dataclass(frozen=True, kw_only=True)
class Holding:
    """What one Ray job holds on one node."""

    #: The run, or the command, that the job is.
    owner: str
    #: Ray's identifier of the node.
    node_id: str
    #: What it holds: CPUs, GPUs and so on.
    resources: Mapping[str, float]


def living_nodes() -> list[Node]:
    """Return the nodes that can be reached; Ray must be joined."""
    import ray
    from ray._private.state import available_resources_per_node

    free = available_resources_per_node()
    nodes = [
        Node(
            node_id=node["NodeID"],
            address=node["NodeManagerAddress"],
            port=node["NodeManagerPort"],
            total=node["Resources"],
            free=free.get(node["NodeID"], {}),
        )
        for node in ray.nodes()
        if node["Alive"]
    ]
    with ThreadPoolExecutor(max_workers=min(64, len(nodes) or 1)) as pool:
        answers = list(pool.map(Node.answers, nodes))
    return [node for node, answer in zip(nodes, answers, strict=True) if answer]


def holdings() -> list[Holding]:
    """Return what jobs hold; Ray must be joined.

    Ray tells it of groups and actors. What plain tasks hold is not in the control store, and who
    holds nothing is left out.
    """
    from ray._private.state import state
    from ray.core.generated.gcs_pb2 import (  # type: ignore[attr-defined]
        ActorTableData,
        PlacementGroupTableData,
    )

    store: Any = state._connect_and_get_accessor()
    owners = _owners(store)
    found: list[Holding] = []
    for data in store.get_placement_group_table():
        group = PlacementGroupTableData.FromString(data)
        if group.state == PlacementGroupTableData.CREATED:
            found += [
                Holding(
                    owner=owners.get(group.creator_job_id.hex(), "unknown"),
                    node_id=bundle.node_id.hex(),
                    resources=dict(bundle.unit_resources),
                )
                for bundle in group.bundles
            ]
    for data in store.get_actor_table(None, "ALIVE"):
        actor = ActorTableData.FromString(data)
        if not actor.placement_group_id:
            found.append(
                Holding(
                    owner=owners.get(actor.job_id.hex(), "unknown"),
                    node_id=actor.node_id.hex() or actor.address.node_id.hex(),
                    resources=dict(actor.required_resources),
                )
            )
    return [holding for holding in found if any(holding.resources.values())]


def await_release(run_id: str) -> None:
    """Wait a moment for what a run's last attempt held: it is about to be free."""
    until = time.monotonic() + _LEAVE_S
    while any(h.owner == run_id for h in holdings()) and time.monotonic() < until:
        time.sleep(0.1)


def _owners(store: Any) -> dict[str, str]:
    """Return what people know each Ray job by: its run, its name, or its command."""
    from ray.core.generated.gcs_pb2 import JobTableData  # type: ignore[attr-defined]

    names: dict[str, str] = {}
    for data in store.get_job_table(
        skip_submission_job_info_field=True, skip_is_running_tasks_field=True
    ):
        job = JobTableData.FromString(data)
        known = job.config.metadata
        name = known.get(RUN_KEY) or known.get("job_submission_id") or job.entrypoint
        names[job.job_id.hex()] = name or job.job_id.hex()
    return names


def room_of(nodes: Iterable[Node], held: Iterable[Holding], device: Literal["cpu", "gpu"]) -> Room:
    """Count the workers that nodes have room for, each with one CPU or GPU, and tell who is there.

    Args:
        nodes: Nodes that workers may run on.
        held: What jobs hold, on these nodes and others.
        device: What a worker needs one of.
    """
    kind = _KINDS[device]
    rows = list(nodes)
    taken = {n.node_id: n.total.get(kind, 0.0) - n.free.get(kind, 0.0) for n in rows}
    by_owner: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for holding in held:
        number = min(holding.resources.get(kind, 0.0), taken.get(holding.node_id, 0.0))
        if number > 0:
            by_owner[f"job {holding.owner}"][holding.node_id] += number
            taken[holding.node_id] -= number
    for node_id, number in taken.items():
        # Ray counts in ten-thousandths.
        if number >= 1e-4:
            by_owner["tasks"][node_id] += number
    where = {node.node_id: node.address for node in rows}
    return Room(
        free=sum(int(node.free.get(kind, 0.0)) for node in rows),
        total=sum(int(node.total.get(kind, 0.0)) for node in rows),
        holders=tuple(
            f"{owner}: "
            + ", ".join(f"{amount(number, kind)} on {where[n]}" for n, number in parts.items())
            for owner, parts in by_owner.items()
        ),
    )
