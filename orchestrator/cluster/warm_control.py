"""Starting and stopping the warm cluster, from another process than its keeper's."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from orchestrator.cluster.token import ensure_token
from orchestrator.cluster.warm import (
    WarmCluster,
    find_warm,
    is_kept,
    keeper_lock,
    keeper_log,
    make_folder,
    use_lock,
)
from orchestrator.errors import UnavailableError, UsageError

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
    keeper = _start_keeper(idle_s)
    try:
        # Of several keepers, the first one stays; so somebody else's may be what comes up.
        while keeper.poll() is None or is_kept():
            if (found := find_warm()) is not None:
                return found, found.pid == keeper.pid
            time.sleep(_LOOK_S)
    except BaseException:
        keeper.terminate()
        raise
    raise UnavailableError(
        "The warm cluster did not start.", hint=f"{keeper_log()} says what happened."
    )


def _start_keeper(idle_s: float) -> subprocess.Popen[bytes]:
    """Start the keeper's process, which goes on when this one has ended."""
    path = os.pathsep.join(str(Path(p).absolute()) for p in sys.path if p)
    request = json.dumps({"idle_s": idle_s})
    with keeper_log().open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "orchestrator.cluster.warm_keeper", request],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
            env={**os.environ, "PYTHONPATH": path},
        )


def stop_warm(*, now: bool) -> bool:
    """End the warm cluster; return whether there was one.

    Args:
        now: Whether to end it also while a run is on it.

    Raises:
        UsageError: A run is on it.
        UnavailableError: It does not end.
    """
    while (found := find_warm()) is None:
        if not is_kept():
            return False
        time.sleep(_LOOK_S)  # It is just starting, or ending.
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
