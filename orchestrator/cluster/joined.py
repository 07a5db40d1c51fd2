"""A Ray cluster that is up already: joined for one run, and left as it was."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from orchestrator.cluster import tasks
from orchestrator.cluster.admission import (
    ANSWER_S,
    await_answer,
    check_admission,
    find_cluster,
    show_token,
)
from orchestrator.cluster.census import Node, await_release, holdings, living_nodes, room_of
from orchestrator.cluster.inspection import Inspection
from orchestrator.cluster.metadata import RUN_KEY
from orchestrator.cluster.node_server import NodeServers
from orchestrator.cluster.settings import TRAIN_SETTINGS, apply
from orchestrator.driver.place import Room
from orchestrator.errors import UnavailableError
from orchestrator.records.timeline import phase
from orchestrator.secrets import FILE, load_secrets
from orchestrator.storage.storage import Storage


class JoinedRay:
    """Joins on entering, and leaves on leaving; what the run started there ends with that.

    Args:
        address: `host:port` of the cluster's head, or `auto` for the cluster of this machine.
        storage: Where runs are kept; every node has to see it.
        metadata: What others on the cluster know the run by (`job_metadata`).
        files: What every node must have besides, such as the job's file.
    """

    def __init__(
        self,
        address: str,
        *,
        storage: Storage,
        metadata: Mapping[str, str],
        files: Iterable[Path] = (),
    ) -> None:
        self._wanted = address
        self._inspection = Inspection(storage=storage, files=files)
        self._metadata = dict(metadata)
        self._servers: NodeServers | None = None
        self._session: Path | None = None
        self._dashboard: str | None = None

    @property
    def dashboard(self) -> str | None:
        """Address of the dashboard as seen from the head, without a scheme."""
        return self._dashboard

    @property
    def worker_environment(self) -> dict[str, Any]:
        """What has Ray fork the run's workers, unless packages are installed for them."""
        import ray

        installs = {"uv", "pip", "conda"} & set(ray.get_runtime_context().runtime_env)
        return {} if installs or self._servers is None else self._servers.worker_environment

    def start(self) -> None:
        """Have every node begin to import what workers need; Ray is joined from the beginning."""
        assert self._session is not None
        self._servers = self._servers or NodeServers(self._session)
        self._servers.start_on(living_nodes())

    def show(self) -> None:
        """Do nothing: the dashboard is up, or not for this run to start."""

    def threads(self, workers: int) -> int:
        """Return how many threads each worker computes with: the one CPU that it reserves."""
        return 1

    def each(
        self, function: Callable[[Any], None], items: Sequence[Any], tell: Callable[[], None]
    ) -> None:
        """Call a function with each item, on all machines; Ray must be up."""
        tasks.each(function, items, tell)

    def gpus(self) -> int:
        """Return how many GPUs the cluster has."""
        import ray

        return int(ray.cluster_resources().get("GPU", 0))

    def room(self, device: Literal["cpu", "gpu"]) -> Room:
        """Say how many workers there is room for on the nodes that have what a run needs."""
        await_release(self._metadata[RUN_KEY])
        return self._look(device)

    def _look(self, device: Literal["cpu", "gpu"]) -> Room:
        nodes = living_nodes()
        if self._servers is not None:
            self._servers.start_on(nodes)
        unfit = self._inspection.complaints(nodes)
        room = room_of((n for n in nodes if n.node_id not in unfit), holdings(), device)
        return Room(
            free=room.free, total=room.total, holders=(*room.holders, *_named(nodes, unfit))
        )

    def spare(self, device: Literal["cpu", "gpu"]) -> int:
        """Return how many more workers could start while the run's own are at work."""
        return self._look(device).free

    def __enter__(self) -> JoinedRay:
        try:
            with phase("joining Ray"):
                self._join(find_cluster(self._wanted))
                self._refuse_unfit()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()

    def _join(self, address: str) -> None:
        await_answer(address)
        show_token()
        settings = apply(TRAIN_SETTINGS)
        # Read when Ray is imported; it waits for a minute otherwise.
        os.environ.setdefault("RAY_gcs_server_request_timeout_seconds", str(ANSWER_S))
        import ray
        from ray.job_config import JobConfig

        check_admission(address)
        try:
            context: Any = ray.init(
                address=address,
                log_to_driver=False,
                configure_logging=False,
                runtime_env=_runtime_env(settings),
                job_config=JobConfig(metadata=self._metadata),
            )
        except ConnectionError as err:
            raise UnavailableError(
                f"The Ray cluster at {address} has no node on this machine.",
                hint="Start the run on one of the cluster's nodes, such as its head.",
            ) from err
        except Exception as err:
            raise UnavailableError(
                f"Can't join the Ray cluster at {address}: {' '.join(str(err).split())}",
                hint="Every node needs the same Python, Ray and launch-job as this one.",
            ) from err
        self._dashboard = context.dashboard_url or None
        self._session = Path(context.address_info["session_dir"])

    def _leave(self) -> None:
        if "ray" in sys.modules:
            import ray

            ray.shutdown()

    def _refuse_unfit(self) -> None:
        """Refuse a cluster on which a worker could be put where it can't work.

        Raises:
            UnavailableError: It names the nodes.
        """
        nodes = living_nodes()
        unfit = self._inspection.complaints(nodes)
        if not unfit:
            return
        named = "; ".join(_named(nodes, unfit))
        raise UnavailableError(
            f"Not every node of the cluster has what the run needs: {named}.",
            hint="Every node needs the same packages, and the storage at the same path.",
        )


def _runtime_env(settings: Mapping[str, str]) -> dict[str, Any]:
    """Return what each process of the run has: settings, and secrets where there are any."""
    if FILE not in os.environ:
        return {"env_vars": dict(settings)}
    # Ray shows the variables to everybody; so they tell where the secrets are, and not what.
    return {
        "env_vars": {**settings, FILE: os.environ[FILE]},
        "worker_process_setup_hook": f"{load_secrets.__module__}.{load_secrets.__name__}",
    }


def _named(nodes: Iterable[Node], unfit: Mapping[str, str]) -> Iterator[str]:
    return (f"{n.address} {unfit[n.node_id]}" for n in nodes if n.node_id in unfit)
