"""The nodes of a cluster as its dashboard tells them, from wherever that can be reached."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from orchestrator.cluster.admission import show_token, token_hint
from orchestrator.errors import UnavailableError

#: How long the dashboard may take to answer.
_ANSWER_S = 10.0


@dataclass(frozen=True, kw_only=True)
class NodeSummary:
    """One node."""

    #: Its address.
    address: str
    #: Name of the host.
    host: str
    #: Whether it is the head.
    head: bool
    #: CPUs, as Ray counts them.
    cpus: float
    #: GPUs.
    gpus: float
    #: Memory that Ray counts with, in bytes.
    memory_bytes: float

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def list_nodes(url: str) -> list[NodeSummary]:
    """Return the nodes that are alive, the head first.

    Args:
        url: Address of the dashboard.

    Raises:
        UnavailableError: It does not answer, or wants another token.
    """
    found = fetch(url, "/api/v0/nodes?limit=10000")["data"]["result"]["result"]
    nodes = [_summary(node) for node in found if node["state"] == "ALIVE"]
    return sorted(nodes, key=lambda node: (not node.head, node.address))


def fetch(url: str, path: str) -> Any:
    """Return what a dashboard answers, as JSON values.

    Raises:
        UnavailableError: It does not answer, or wants another token.
    """
    import requests

    show_token()
    from ray._private.authentication.http_token_authentication import (
        get_auth_headers_if_auth_enabled,
    )

    try:
        answer = requests.get(
            f"{url}{path}", headers=get_auth_headers_if_auth_enabled({}), timeout=_ANSWER_S
        )
    except requests.RequestException as err:
        raise UnavailableError(f"No Ray dashboard answers at {url}.") from err
    if answer.status_code in (401, 403):
        raise UnavailableError(
            f"The Ray cluster at {url} wants another token from this machine.", hint=token_hint()
        )
    if answer.status_code != 200:
        raise UnavailableError(f"The Ray dashboard at {url} answers HTTP {answer.status_code}.")
    return answer.json()


def _summary(node: dict[str, Any]) -> NodeSummary:
    total = node.get("resources_total") or {}
    return NodeSummary(
        address=node["node_ip"],
        host=node.get("node_name") or node["node_ip"],
        head=bool(node.get("is_head_node")),
        cpus=float(total.get("CPU", 0)),
        gpus=float(total.get("GPU", 0)),
        memory_bytes=float(total.get("memory", 0)),
    )
