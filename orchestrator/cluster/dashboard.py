"""The dashboard of an embedded Ray, which comes after what it shows.

`ray.init` starts the dashboard and the autoscaler's monitor with the rest, waits until the
dashboard answers, and starts what carries workers' lines to drivers: 6 s of processor time of the
45 until the first step of four workers on two cores, and 9 s of waiting were seen on sixteen. No
run needs any of it. So the dashboard and the monitor are started as Ray does it, but when whoever
drives a run says so, and not waited for; workers' lines are in files, where they are read.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.cluster.rays_own import replaced
from orchestrator.errors import UnavailableError

#: What stands in the control store for the address until the dashboard knows it.
_TO_COME = b"127.0.0.1:0"

#: What Ray calls what is started late.
_STARTED = ("dashboard", "monitor")

#: It gives way to the run, but a run that keeps all cores busy must not keep it from coming up.
_NICENESS = 5

#: A run that goes on for so long, steps or none, is one to look at.
_LATEST_S = 60.0

#: How long it may take to come up, where it is waited for.
_PATIENCE_S = 60.0

#: How often it is looked for then.
_LOOK_S = 0.1

#: How long the control store may take to tell.
_ANSWER_S = 1.0

#: Where Ray's tools look for the address.
_SHOWN = b"webui:url"


def left_out() -> contextlib.AbstractContextManager[None]:
    """Have `ray.init` start, within this context, only what runs need."""
    from ray._private.node import Node

    def nothing(*_: Any, **__: Any) -> None: ...

    names = ("start_api_server", "start_monitor", "start_log_monitor")
    return replaced(Node, **dict.fromkeys(names, nothing))


def imported_by_itself() -> contextlib.AbstractContextManager[None]:
    """Have Ray take it, within this context, that the dashboard and its agents can be imported.

    To see whether they can be, it imports what they import: half a second of processor time before
    it starts the raylet. launch-job depends on all of it.
    """
    from ray._private import utils

    return replaced(utils, get_dashboard_dependency_error=lambda: None)


class LateDashboard:
    """Starts what `left_out` has left out: when it is wanted, or when that takes long.

    Ray must be up.

    Args:
        temporary: Folder for its temporary files, which it doesn't get to remove when Ray ends.
    """

    def __init__(self, temporary: Path) -> None:
        self._temporary = temporary
        self._wanted, self._called_off = threading.Event(), threading.Event()
        self._settled, self._over = threading.Event(), threading.Event()
        self._started: dict[str, Any] = {}
        self._thread = threading.Thread(target=self._keep, name="dashboard", daemon=True)
        self._thread.start()

    def start(self) -> None:
        """Start it now, if it isn't; it will answer later."""
        self._wanted.set()
        self._settled.wait()

    def call_off(self) -> None:
        """Start nothing from now on; what was started is for Ray to end, but for the monitor.

        It doesn't heed SIGTERM, and Ray would wait a second for it. It has nothing to lose.
        """
        self._called_off.set()
        self.start()
        if monitor := self._started.get("monitor"):
            monitor.kill()
            monitor.wait()

    def end(self) -> None:
        """End what Ray has not ended."""
        self.call_off()
        self._over.set()
        self._thread.join()

    def _keep(self) -> None:
        self._wanted.wait(_LATEST_S)
        try:
            if not self._called_off.is_set():
                node = _node()
                with imported_by_itself(), _not_waited_for(), _temporary_files_in(self._temporary):
                    node.start_api_server(include_dashboard=True, raise_on_failure=False)
                node.start_monitor()
                for name in _STARTED:
                    for info in node.all_processes.get(name, ()):
                        self._started[name] = info.process
                        os.setpriority(os.PRIO_PROCESS, info.process.pid, _NICENESS)
        finally:
            self._settled.set()
        # Linux ends Ray's processes with the thread that has started them.
        self._over.wait()


def _not_waited_for() -> contextlib.AbstractContextManager[None]:
    """Have Ray start the dashboard, within this context, and go on at once."""
    from ray._private import services
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    start = services.start_api_server
    signature = inspect.signature(start)

    @functools.wraps(start)
    def start_beside(*args: Any, **kwargs: Any) -> Any:
        asked = signature.bind(*args, **kwargs).arguments
        # What Ray waits for is an address in the control store; the dashboard will replace it.
        store = GcsClient(address=asked["gcs_address"], cluster_id=asked["cluster_id_hex"])
        _put(store, _address_key(), _TO_COME)
        return start(*args, **kwargs)

    return replaced(services, start_api_server=start_beside)


@contextlib.contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """Have processes that are started in this context keep their temporary files in a folder."""
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(folder)
    try:
        yield
    finally:
        os.environ.pop("TMPDIR")
        if before is not None:
            os.environ["TMPDIR"] = before


def dashboard_address() -> str | None:
    """Return the address of the dashboard, without a scheme; None as long as none is to be had.

    Ray must be up. A control store that doesn't answer is for those to tell who need it.
    """
    from ray.exceptions import RpcError

    store = _node().get_gcs_client()
    try:
        found = store.internal_kv_get(_address_key(), _namespace(), timeout=_ANSWER_S)
        if found in (None, _TO_COME):
            return None
        _put(store, _SHOWN, found)
    except RpcError:
        return None
    return str(found.decode())


def await_dashboard() -> str:
    """Wait until the dashboard answers; return its address, without a scheme.

    Raises:
        UnavailableError: It doesn't in time, or has ended.
    """
    (info,) = _node().all_processes["dashboard"]
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline and info.process.poll() is None:
        if address := dashboard_address():
            return address
        time.sleep(_LOOK_S)
    raise UnavailableError(
        "The Ray dashboard did not come up.", hint="Its log is dashboard.log, beside Ray's others."
    )


def _node() -> Any:
    from ray._private import worker

    return worker._global_node


def _put(store: Any, key: bytes, value: bytes) -> None:
    store.internal_kv_put(key, value, True, _namespace())


def _address_key() -> bytes:
    from ray._private import ray_constants

    return ray_constants.DASHBOARD_ADDRESS.encode()


def _namespace() -> bytes:
    from ray._private import ray_constants

    return ray_constants.KV_NAMESPACE_DASHBOARD
