"""A group of real TensorFlow processes, without Ray: what a MWMS test trains in."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 300


class GroupError(AssertionError):
    """A process of the group failed."""


def run_group(
    script: Path, workers: int, args: Sequence[str], log_dir: Path, *, fork: Sequence[str]
) -> None:
    """Run a script on so many workers, with TF_CONFIG set, and wait until all have ended.

    Args:
        script: Gets its rank, the number of workers, and `args`.
        workers: Number of workers.
        args: Further arguments.
        log_dir: Folder of what they print.
        fork: Command that runs a Python script in a process that has TensorFlow already.

    Raises:
        GroupError: One of them failed; the message has the end of its log.
    """
    addresses = [f"127.0.0.1:{port}" for port in _free_ports(workers)]
    log_dir.mkdir(parents=True, exist_ok=True)
    processes = []
    for rank in range(workers):
        config = {
            "cluster": {"worker": addresses},
            "task": {"type": "worker", "index": rank},
        }
        with (log_dir / f"rank-{rank}.log").open("wb") as log:
            processes.append(
                subprocess.Popen(
                    [*fork, str(script), str(rank), str(workers), *args],
                    env={**os.environ, "TF_CONFIG": json.dumps(config), "PYTHONPATH": str(ROOT)},
                    stdout=log,
                    stderr=log,
                )
            )
    try:
        codes = [process.wait(timeout=TIMEOUT_S) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for rank, code in enumerate(codes):
        if code:
            text = (log_dir / f"rank-{rank}.log").read_text()[-3000:]
            raise GroupError(f"rank {rank} of {workers} ended with {code}:\n{text}")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for held in sockets:
        held.bind(("127.0.0.1", 0))
    ports = [held.getsockname()[1] for held in sockets]
    for held in sockets:
        held.close()
    return ports
