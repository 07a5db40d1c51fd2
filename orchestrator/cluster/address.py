"""What the address of a cluster means, and the way from it to the cluster's dashboard.

| address | means | can be used |
| --- | --- | --- |
| `http://HOST:8265` | the dashboard itself | wherever it can be reached |
| `HOST:6379` | the head, as `ray start --address` takes it | on the head |
| `auto` | the cluster of this machine | on the head |
| `path/cluster.yaml` | the cluster that `launch-job cluster up` made of it | where that was done |
| `local` | no cluster: a Ray of its own | everywhere |

Without an address, a project's `cluster.yaml` is taken if its cluster was brought up from here.
Whichever it is, the run's driver is a job on that cluster: there is one way to run on one.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from orchestrator.catalog.discovery import find_project
from orchestrator.cluster.admission import (
    await_answer,
    check_admission,
    find_cluster,
    show_token,
)
from orchestrator.cluster.standing import Standing
from orchestrator.errors import UnavailableError, UsageError

#: Address that stands for a Ray of the run's own, wherever a cluster would be taken otherwise.
LOCAL = "local"

#: Port of a dashboard unless it was told otherwise.
DASHBOARD_PORT = 8265

_KINDS = "Give http://HOST:8265 (the dashboard), a cluster.yaml, or on the head HOST:6379 or auto."


def check_address(address: str) -> str:
    """Return an address if it is of a kind that can be used.

    Raises:
        UsageError: It isn't.
    """
    if _is_file(address):
        return str(Path(address).expanduser().absolute())
    if "://" not in address:
        if address != "auto":
            find_cluster(address)
        return address
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(f"{address!r} is not the address of a cluster.", hint=_KINDS)
    return address


def find_dashboard(address: str) -> str:
    """Return the address of a cluster's dashboard, with its scheme.

    Raises:
        UsageError: The address is of a kind that can't be used.
        UnavailableError: No cluster answers there.
    """
    check_address(address)
    if _is_file(address):
        return _of_file(Path(address)).dashboard()
    if "://" in address:
        parts = urlsplit(address)
        return address if parts.port else f"{parts.scheme}://{parts.netloc}:{DASHBOARD_PORT}"
    return _ask_head(find_cluster(address))


def standing_cluster() -> str | None:
    """Return the address of the project's cluster, if it was brought up from here."""
    project = find_project(Path.cwd())
    if project is None or Standing.find(project / "cluster.yaml") is None:
        return None
    return str(project / "cluster.yaml")


def needs_tunnel(address: str) -> bool:
    """Whether the dashboard of a cluster is reached through a tunnel that this process holds."""
    return _is_file(address)


def _is_file(address: str) -> bool:
    return "://" not in address and address.endswith((".yaml", ".yml"))


def _of_file(path: Path) -> Standing:
    found = Standing.find(path)
    if found is None:
        raise UnavailableError(
            f"The cluster of {path} was not brought up from this machine.",
            hint=f"`launch-job cluster up {path}` brings it up.",
        )
    return found


def _ask_head(address: str) -> str:
    """Ask the cluster's control store, which each node can reach."""
    await_answer(address)
    show_token()
    check_admission(address)
    from ray._private import ray_constants
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    found = GcsClient(address=address).internal_kv_get(
        ray_constants.DASHBOARD_ADDRESS.encode(),
        ray_constants.KV_NAMESPACE_DASHBOARD,
        timeout=10,
    )
    if found is None:
        raise UnavailableError(
            f"The Ray cluster at {address} has no dashboard, and with it no Jobs API.",
            hint="Start its head with `ray start --head --include-dashboard=true`.",
        )
    return f"http://{found.decode()}"
