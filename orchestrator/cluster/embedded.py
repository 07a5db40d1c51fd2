"""Embedded Ray: a cluster of this one machine that lives as long as one run."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from orchestrator.cluster import forkshim, tasks
from orchestrator.cluster.dashboard import (
    LateDashboard,
    dashboard_address,
    imported_by_itself,
    left_out,
)
from orchestrator.cluster.leftovers import MARK
from orchestrator.cluster.rays_own import replaced
from orchestrator.cluster.server_environment import server_environment
from orchestrator.cluster.settings import TRAIN_SETTINGS, apply
from orchestrator.cluster.token import ensure_token
from orchestrator.driver.place import Room
from orchestrator.errors import UnavailableError
from orchestrator.imports import import_uncollected
from orchestrator.records.timeline import phase

#: Settings of a Ray that nobody else uses, in this process and the workers.
EMBEDDED_SETTINGS = {
    **TRAIN_SETTINGS,
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    # On loopback, as Ray has it on systems where it can be no cluster: nobody else can connect, and
    # a laptop that changes its network goes on.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # Ray would start plain workers ahead of time, one a core; a run takes forked ones only.
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
    # The raylet looks for the object store that it has just started, mostly too early, and again
    # after this long; at Ray's second, one start of three took that second longer.
    "RAY_raylet_client_connect_timeout_milliseconds": "20",
    "RAY_raylet_client_num_connect_attempts": "500",
    # Ray puts its workers behind everything else; a run that was asked for is not background work.
    "RAY_worker_niceness": "0",
}

#: Files of Ray's session that are kept in the run's folder.
_KEPT_LOGS = ("worker-*", "raylet.*", "gcs_server.err", "dashboard.log", "train/*.log")

#: Training reads memory-mapped files, so little passes through Ray's object store.
_OBJECT_STORE_BYTES = 200 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What this machine has, as Ray is told."""

    #: Processor cores that this process may use.
    cores: int

    @classmethod
    def here(cls) -> Machine:
        """Look at this machine."""
        return cls(cores=len(os.sched_getaffinity(0)))

    def threads_per_worker(self, workers: int) -> int:
        """Return how many threads each worker computes with."""
        return max(1, self.cores // workers)

    def sharing(self, workers: int) -> str | None:
        """Say that workers have to share cores, if they have to."""
        if workers <= self.cores:
            return None
        return f"{workers} workers share {self.cores} cores, with one thread each."

    def logical_cpus(self, workers: int) -> int:
        """Return how many CPUs Ray is to count: enough that every worker can start."""
        return max(self.cores, workers)


def having_workers_forked() -> contextlib.AbstractContextManager[None]:
    """Have a Ray that is started within this context start its processes by `forkshim.py`."""
    from ray._private import ray_constants

    # Ray joins it to a folder of its own, which an absolute path takes the place of.
    return replaced(ray_constants, SETUP_WORKER_FILENAME=forkshim.__file__)


class EmbeddedRay:
    """Ends Ray and everything it started on leaving; begins to import TensorFlow on entering.

    Args:
        workers: Workers that must be able to run at once.
        logs: Folder that Ray's logs are kept in.
        metadata: That of this process's Ray job.
    """

    #: Module that serves the forked workers.
    SERVER = "orchestrator.cluster.forkserver"

    def __init__(
        self, *, workers: int, logs: Path, metadata: Mapping[str, str] | None = None
    ) -> None:
        self.machine = Machine.here()
        self._workers = workers
        self._logs = logs
        self._metadata = dict(metadata or {})
        self._folder = Path(tempfile.mkdtemp(prefix="launch-job-"))
        self._socket = self._folder / "fork.sock"
        self._server: subprocess.Popen[bytes] | None = None
        self._session: Path | None = None
        self._late: LateDashboard | None = None
        self._address: str | None = None

    @property
    def _servers(self) -> Path:
        """Where Ray's processes find who forks them."""
        return self._socket

    @property
    def dashboard(self) -> str | None:
        """Address of the dashboard, without a scheme; None before it answers."""
        if self._address is None and self._session is not None:
            self._address = dashboard_address()
        return self._address

    @property
    def worker_environment(self) -> dict[str, Any]:
        """Nothing: all processes of this Ray are forked."""
        return {}

    def start(self) -> None:
        """Start Ray.

        Raises:
            UnavailableError: It does not start.
        """
        if self._session is None:
            with phase("import of Ray"):
                import_uncollected("ray")
            with phase("start of Ray"):
                self._start_ray()

    def show(self) -> None:
        """Start the dashboard, if it isn't."""
        if self._late is not None:
            self._late.start()

    def threads(self, workers: int) -> int:
        """Return how many threads each worker computes with."""
        return self.machine.threads_per_worker(workers)

    def room(self, device: Literal["cpu", "gpu"]) -> Room:
        """Say how many workers there is room for: nobody else is here."""
        here = self.gpus() if device == "gpu" else self.machine.logical_cpus(self._workers)
        return Room(free=here, total=here)

    def spare(self, device: Literal["cpu", "gpu"]) -> int:
        """Return 0: a run has all of this machine from the beginning."""
        return 0

    def each(
        self, function: Callable[[Any], None], items: Sequence[Any], tell: Callable[[], None]
    ) -> None:
        """Call a function with each item, on all machines; Ray must be up."""
        tasks.each(function, items, tell)

    def gpus(self) -> int:
        """Return how many GPUs Ray has found; it must be up."""
        import ray

        return int(ray.cluster_resources().get("GPU", 0))

    def __enter__(self) -> Self:
        ensure_token()
        apply(EMBEDDED_SETTINGS)
        os.environ[MARK] = str(self._socket)
        os.environ[forkshim.ADDRESS] = str(self._servers)
        self._start_fork_server()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def _start_fork_server(self) -> None:
        """Begin to import what workers need, while Ray starts."""
        request = json.dumps({"address": str(self._socket), "parent": os.getpid()})
        self._logs.mkdir(parents=True, exist_ok=True)
        with (self._logs / "fork-server.log").open("wb") as log:
            self._server = subprocess.Popen(
                [sys.executable, "-m", self.SERVER, request],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=server_environment(),
            )

    def _start_ray(self) -> None:
        import ray
        from ray.job_config import JobConfig

        try:
            with left_out(), imported_by_itself(), having_workers_forked():
                context: Any = ray.init(
                    address="local",
                    num_cpus=self.machine.logical_cpus(self._workers),
                    dashboard_host="127.0.0.1",
                    object_store_memory=_OBJECT_STORE_BYTES,
                    log_to_driver=False,
                    configure_logging=False,
                    job_config=JobConfig(metadata=self._metadata),
                )
        except Exception as err:
            raise UnavailableError(f"Ray did not start: {err}", hint=_start_hint(err)) from err
        self._session = Path(context.address_info["session_dir"])
        self._late = LateDashboard(self._folder)

    def _stop(self) -> None:
        if self._late is not None:
            self._late.call_off()
        if "ray" in sys.modules:
            import ray

            ray.shutdown()
        if self._late is not None:
            self._late.end()
        self._keep_logs()
        if self._server is not None:
            self._server.terminate()
            try:
                self._server.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
        for name in (MARK, forkshim.ADDRESS):
            os.environ.pop(name, None)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _keep_logs(self) -> None:
        """Copy what Ray wrote about workers and training; its own folder is temporary."""
        if self._session is None:
            return
        for pattern in _KEPT_LOGS:
            for file in (self._session / "logs").glob(pattern):
                with contextlib.suppress(OSError):
                    target = self._logs / "ray" / file.name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, target)


def _start_hint(err: Exception) -> str:
    # Ray waits 30 s for its processes, whatever it is told.
    if "timed out during startup" in str(err):
        return "Other work may keep this machine too busy: try again when it is done."
    return "`--debug` shows where it failed."
