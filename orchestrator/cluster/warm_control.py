"""Starting and stopping the warm cluster, from another process than its keeper's."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

from orchestrator.cluster.token import ensure_token
from orchestrator.cluster.warm import (
    WarmCluster,
    find_warm,
    keeper_lock,
    keeper_log,
    make_folder,
    use_lock,
)
from orchestrator.errors import UnavailableError, UsageError

#: Ray and TensorFlow are there well within this time.
_START_S = 120.0

#: How long Ray may take to end.
_END_S = 30.0

_LOOK_S = 0.05


def start_warm(idle_s: float) -> tuple[WarmCluster, bool]:
    """Start the warm cluster, unless there is one.

    Args:
        idle_s: Seconds without a run after which it is to end.

    Returns:
        The cluster, and whether it is new.

    Raises:
        UsageError: There is one, of another Python or another version of launch-job.
        UnavailableError: It does not start.
    """
    make_folder()
    if (found := find_warm()) is not None:
        if reason := found.unfit(1):
            raise UsageError(
                f"There is a warm cluster already, which {reason}.",
                hint="`launch-job cluster stop` ends it.",
            )
        return found, False
    ensure_token()
    with keeper_log().open("wb") as log:
        keeper = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "orchestrator.cluster.warm_keeper",
                json.dumps({"idle_s": idle_s}),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )
    until = time.monotonic() + _START_S
    while keeper.poll() is None and time.monotonic() < until:
        if (found := find_warm()) is not None:
            return found, True
        time.sleep(_LOOK_S)
    with contextlib.suppress(ProcessLookupError):
        keeper.terminate()
    raise UnavailableError(
        "The warm cluster did not start.", hint=f"{keeper_log()} says what happened."
    )


def stop_warm(*, now: bool) -> bool:
    """End the warm cluster; return whether there was one.

    Args:
        now: Whether to end it also while a run is on it.

    Raises:
        UsageError: A run is on it.
        UnavailableError: It does not end.
    """
    found = find_warm()
    if found is None:
        return False
    with use_lock().held(alone=True) as unused:
        if not unused and not now:
            raise UsageError(
                "A run is on the warm cluster.",
                hint="`launch-job stop latest` stops the run; `launch-job cluster stop --now` "
                "ends the cluster under it.",
            )
        with contextlib.suppress(ProcessLookupError):
            os.kill(found.pid, signal.SIGTERM)
        until = time.monotonic() + _END_S
        while not keeper_lock().is_free():
            if time.monotonic() > until:
                raise UnavailableError(
                    f"The warm cluster's keeper, process {found.pid}, does not end.",
                    hint=f"`kill -9 {found.pid}` ends it and all that it started.",
                )
            time.sleep(_LOOK_S)
    return True
