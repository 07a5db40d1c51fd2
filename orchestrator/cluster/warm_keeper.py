"""The process that keeps the warm cluster: starts Ray, and ends it when no run has come for long.

It makes the fork server of the next run's Ray job ready whenever no run is on the cluster.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from orchestrator.cluster.dashboard import await_dashboard
from orchestrator.cluster.embedded import EmbeddedRay, Machine
from orchestrator.cluster.jobserver import following, prepare_job
from orchestrator.cluster.warm import (
    WarmCluster,
    code_digest,
    forget_record,
    keep_record,
    keeper_lock,
    token_digest,
    use_lock,
    warm_folder,
)

#: How often it looks whether a run is there.
_LOOK_S = 1.0

#: Workers that fit at once, at least: they share cores, as those of an embedded Ray do.
_LEAST_CPUS = 16


class KeptRay(EmbeddedRay):
    """An embedded Ray whose processes are forked by a server for each Ray job."""

    SERVER = "orchestrator.cluster.jobserver"

    @property
    def socket(self) -> Path:
        """Socket of the fork servers."""
        return self._socket

    @property
    def _servers(self) -> Path:
        return self._socket.parent

    def describe(self, idle_s: float) -> WarmCluster:
        """Return its record, once its dashboard answers; Ray must be up."""
        import ray

        self.show()
        return WarmCluster(
            pid=os.getpid(),
            address=ray.get_runtime_context().gcs_address,
            dashboard=await_dashboard(),
            socket=str(self.socket),
            cpus=self.machine.logical_cpus(self._workers),
            idle_s=idle_s,
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
            token=token_digest(),
            code=code_digest(),
        )

    def prepare_next(self) -> None:
        """Have the fork server of the next Ray job made ready, and all others end."""
        prepare_job(self.socket, None, alone=True)

    def prepare_first(self) -> None:
        """Tell the fork servers where they are, and have the first one made ready."""
        import ray
        from ray._private import worker

        node: Any = worker._global_node
        raylet = node.all_processes["raylet"][0].process.pid
        own = ray.get_runtime_context().get_job_id()
        prepare_job(self.socket, following(own), raylet=str(raylet))

    def lives(self) -> bool:
        """Return whether all of Ray's processes do."""
        from ray._private import worker

        node: Any = worker._global_node
        return not node.dead_processes()


def keep(idle_s: float) -> None:
    """Keep a cluster until it has been without a run for some seconds, or SIGTERM comes.

    Args:
        idle_s: The seconds.
    """
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    signal.signal(signal.SIGTERM, end)
    with keeper_lock().held(alone=True) as only_one:
        if not only_one:
            return
        forget_record()
        cpus = max(_LEAST_CPUS, 4 * Machine.here().cores)
        with KeptRay(workers=cpus, logs=warm_folder() / "logs") as ray:
            ray.start()
            signal.signal(signal.SIGTERM, end)  # Ray takes it for itself when it starts.
            ray.prepare_first()
            keep_record(ray.describe(idle_s))
            try:
                _wait(ray, idle_s, ended)
            finally:
                forget_record()  # No run comes while Ray ends.


def _wait(ray: KeptRay, idle_s: float, ended: threading.Event) -> None:
    """Wait until the cluster is to end; runs that come then are turned away."""
    idle_since, was_used = time.monotonic(), False
    while ray.lives() and not ended.wait(_LOOK_S):
        with use_lock().held(alone=True) as unused:
            if not unused:
                was_used = True
                continue
            if was_used:
                ray.prepare_next()
                idle_since, was_used = time.monotonic(), False
            if time.monotonic() - idle_since >= idle_s:
                forget_record()  # Before a run can take the lock.
                return


def main() -> None:
    """Keep a cluster as the argument says."""
    keep(**json.loads(sys.argv[1]))


if __name__ == "__main__":
    main()
