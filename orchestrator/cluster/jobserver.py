"""A fork server for each Ray job, all of them forked from one that has imported TensorFlow.

Ray's core reads which job it belongs to when it is imported, and forgets it no more. So on a
cluster that outlives a run, each job has a fork server of its own (`forkserver.py`), which imports
Ray for that job. Ray numbers jobs, so the next one's can be made ready before it is asked for.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import sys
from pathlib import Path
from typing import Any, NoReturn

from orchestrator.cluster.forkclient import send_request, socket_of
from orchestrator.cluster.forkserver import ForkServer, die_with_parent, heed_end, preload

_ANSWER_BYTES = 64

_JOB = re.compile(r"[0-9a-f]{8}")


class JobServers:
    """Listens on a unix socket, and forks a fork server for each Ray job that it is told of.

    Args:
        address: The socket; those of the jobs' servers lie beside it.
    """

    def __init__(self, address: str) -> None:
        self._folder = Path(address).parent
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(address)
        self._listener.listen(64)
        self._servers: dict[str, int] = {}
        self._raylet = ""
        # Nobody waits for a server's end.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)

    def serve(self) -> NoReturn:
        """Answer until this process is ended."""
        while True:
            client, _ = self._listener.accept()
            with contextlib.closing(client), contextlib.suppress(OSError, ValueError, KeyError):
                self._answer(client, json.loads(client.makefile("rb").readline()))

    def _answer(self, client: socket.socket, wish: dict[str, Any]) -> None:
        self._raylet = wish.get("raylet", self._raylet)
        job = wish["job"] or following(max(self._servers, key=_number))
        if not _JOB.fullmatch(job):  # It becomes a path.
            raise ValueError(f"not a Ray job: {job!r}")
        if not self._lives(job):
            self._servers[job] = self._fork(job)
        if wish.get("alone"):
            for other in self._servers.keys() - {job}:
                self._retire(other)
        client.sendall(f"{job}\n".encode())

    def _lives(self, job: str) -> bool:
        try:
            os.kill(self._servers[job], 0)
        except (KeyError, ProcessLookupError):
            return False
        return True

    def _retire(self, job: str) -> None:
        """Tell a job's server to end when its workers have."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._servers[job], signal.SIGTERM)

    def _fork(self, job: str) -> int:
        base = os.getpid()
        listens, listening = os.pipe()
        pid = os.fork()
        if pid == 0:
            die_with_parent(signal.SIGKILL, parent=base)
            os.close(listens)
            self._listener.close()
            self._become_server(job, listening)
        os.close(listening)
        os.read(listens, 1)  # Whoever is answered may connect at once.
        os.close(listens)
        return pid

    def _become_server(self, job: str, listening: int) -> NoReturn:
        path = socket_of(self._folder, job)
        Path(path).unlink(missing_ok=True)
        server = ForkServer(path)
        os.close(listening)
        signal.signal(signal.SIGTERM, lambda *_: server.retire())
        belongs = {"RAY_JOB_ID": job, "RAY_RAYLET_PID": self._raylet}
        server.import_ray({**os.environ, **belongs})
        server.serve()


def prepare_job(address: Path, job: str | None, **more: Any) -> str:
    """Have the fork server of a Ray job made, if it isn't there; return the job.

    Args:
        address: Socket of the `JobServers`.
        job: The job; None: the one after all that were told.
        more: `raylet`, the process number of the raylet, the first time; `alone`, whether the
            servers of other jobs are to end when their workers have.

    Raises:
        OSError: Nobody listens there.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.connect(str(address))
        server.sendall(json.dumps({"job": job, **more}).encode() + b"\n")
        return server.recv(_ANSWER_BYTES).decode().strip()


def claim_job(address: Path, job: str) -> None:
    """Have the workers of a Ray job forked with this process's surroundings.

    Args:
        address: Socket of the `JobServers`.
        job: The job, which is this process's.

    Raises:
        OSError: Nobody listens there.
    """
    prepare_job(address, job)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.connect(socket_of(address.parent, job))
        send_request(server, [], claim=True, path=[str(Path(p).absolute()) for p in sys.path])
        server.recv(_ANSWER_BYTES)


def _number(job: str) -> int:
    """Return the number that Ray has given a job: four bytes, the least one first."""
    return int.from_bytes(bytes.fromhex(job), "little")


def following(job: str) -> str:
    """Return the job that Ray is going to begin after another."""
    return (_number(job) + 1).to_bytes(4, "little").hex()


def main(address: str, *, parent: int) -> NoReturn:
    """Serve at a socket until SIGTERM, or until the process that started this one dies."""
    heed_end(address, parent=parent)
    Path(address).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    servers = JobServers(address)
    preload()
    servers.serve()


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
