"""The worker that the others connect to when their strategy begins: the one of rank 0."""

from __future__ import annotations

import json
import os
import socket
import time

#: How long it is waited for; after that, TensorFlow says who is missing.
_PATIENCE_S = 60.0

#: How often it is looked for.
_LOOK_S = 0.01


def await_leader(patience_s: float = _PATIENCE_S) -> None:
    """Wait until the leader that TF_CONFIG names listens; the leader itself doesn't wait.

    Workers begin at the same moment, and who comes before the leader listens is turned away: gRPC
    tries again after a second, and all of them wait for that one.

    Args:
        patience_s: How long to wait at most, in seconds.
    """
    config = json.loads(os.environ.get("TF_CONFIG", "{}"))
    workers = config.get("cluster", {}).get("worker", [])
    if not workers or config["task"]["index"] == 0:
        return
    host, _, port = workers[0].rpartition(":")
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=1.0).close()
        except OSError:
            time.sleep(_LOOK_S)
        else:
            return
