"""A run's place on the warm cluster: joined for one run, and kept for the next."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from orchestrator.cluster import tasks
from orchestrator.cluster.census import await_release, holdings, living_nodes, room_of
from orchestrator.cluster.embedded import EMBEDDED_SETTINGS, Machine
from orchestrator.cluster.jobserver import claim_job
from orchestrator.cluster.metadata import RUN_KEY
from orchestrator.cluster.settings import apply
from orchestrator.cluster.warm import WarmCluster, find_warm, use_lock
from orchestrator.driver.place import Room
from orchestrator.errors import UnavailableError
from orchestrator.imports import import_uncollected
from orchestrator.records.timeline import phase


class WarmRay:
    """Joins on entering and leaves on leaving; what the run started there ends with that.

    Args:
        cluster: The cluster, which the caller holds the use of.
        metadata: What others on the cluster know the run by (`job_metadata`).
        logs: Folder that Ray's logs are kept in.
    """

    def __init__(self, cluster: WarmCluster, *, metadata: Mapping[str, str], logs: Path) -> None:
        self._cluster = cluster
        self._metadata = dict(metadata)
        self._logs = logs
        self._machine = Machine.here()
        self._job = ""
        self._session: Path | None = None

    @property
    def dashboard(self) -> str | None:
        """Address of the dashboard, without a scheme."""
        return self._cluster.dashboard

    @property
    def worker_environment(self) -> dict[str, Any]:
        """Nothing: all processes of the run are forked."""
        return {}

    def start(self) -> None:
        """Do nothing: the cluster is up, and was joined on entering."""

    def show(self) -> None:
        """Do nothing: the dashboard is up."""

    def threads(self, workers: int) -> int:
        """Return how many threads each worker computes with."""
        return self._machine.threads_per_worker(workers)

    def gpus(self) -> int:
        """Return how many GPUs Ray has found."""
        import ray

        return int(ray.cluster_resources().get("GPU", 0))

    def room(self, device: Literal["cpu", "gpu"]) -> Room:
        """Say how many workers there is room for beside those of other runs."""
        await_release(self._metadata[RUN_KEY])
        return room_of(living_nodes(), holdings(), device)

    def spare(self, device: Literal["cpu", "gpu"]) -> int:
        """Return how many more workers could start while the run's own are at work."""
        return room_of(living_nodes(), holdings(), device).free

    def each(
        self, function: Callable[[Any], None], items: Sequence[Any], tell: Callable[[], None]
    ) -> None:
        """Call a function with each item, as many at once as there are cores."""
        tasks.each(function, items, tell, cpus=max(1, self._cluster.cpus // self._machine.cores))

    def __enter__(self) -> WarmRay:
        apply(EMBEDDED_SETTINGS)
        try:
            with phase("import of Ray"):
                import_uncollected("ray")
            with phase("joining Ray"):
                self._join()
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

    def _join(self) -> None:
        import ray
        from ray.job_config import JobConfig

        sockets = Path(self._cluster.socket)
        try:
            context: Any = ray.init(
                address=self._cluster.address,
                log_to_driver=False,
                configure_logging=False,
                job_config=JobConfig(metadata=self._metadata),
            )
            self._session = Path(context.address_info["session_dir"])
            self._job = ray.get_runtime_context().get_job_id()
            claim_job(sockets, self._job)
        except Exception as err:
            raise UnavailableError(
                f"The warm cluster does not answer: {' '.join(str(err).split())}",
                hint="`launch-job cluster stop --now` ends it; runs then bring their own Ray.",
            ) from err

    def _leave(self) -> None:
        if "ray" in sys.modules:
            import ray

            ray.shutdown()
        if self._session is not None:
            self._keep_logs(self._session / "logs")

    def _keep_logs(self, logs: Path) -> None:
        """Copy what this run's processes wrote; the cluster's folder goes with the cluster."""
        for file in logs.glob(f"worker-*{self._job}*"):
            with contextlib.suppress(OSError):
                target = self._logs / "ray" / file.name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)


@contextlib.contextmanager
def warm_place(
    *, workers: int, metadata: Mapping[str, str], logs: Path, tell: Callable[[str], None]
) -> Iterator[WarmRay | None]:
    """Join the warm cluster of this machine for a run, if there is one that fits.

    Args:
        workers: Workers of the run.
        metadata: What others on the cluster know the run by.
        logs: Folder that Ray's logs are kept in.
        tell: Told, in a sentence, that it is used, or why it isn't.
    """
    cluster = find_warm()
    if cluster is None:
        yield None
        return
    if reason := cluster.unfit(workers):
        tell(
            f"The warm cluster of this machine {reason}, so this run starts a Ray of its own. "
            "`launch-job cluster stop` ends the other."
        )
        yield None
        return
    with use_lock().held(alone=False) as had:
        if not had:  # It is just ending.
            yield None
            return
        tell("Runs on the warm cluster of this machine; `launch-job cluster stop` ends it.")
        with WarmRay(cluster, metadata=metadata, logs=logs) as place:
            yield place
