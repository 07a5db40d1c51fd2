"""Import TensorFlow and Ray once a node, fork once a worker.

Importing TensorFlow and Keras takes seconds of processor time in every process, and importing Ray
Train takes another. This server imports them once, TensorFlow while Ray is still starting, and then
forks a ready process for each worker that Ray asks for. Ray starts its workers through
`forkclient.py`, which hands arguments, environment and file descriptors over to here: a Ray of our
own by `forkshim.py`, a cluster that was joined by a runtime environment's `py_executable`.

Forking is safe only as long as no thread of the server holds a lock and no device was touched: it
imports modules and does nothing with them. (Of the threads that imports start, NumPy's are turned
off by whoever starts the server, and jemalloc's is made for forks.) A worker dies with the server
(parent-death signal), and is killed when its client is gone. As the server outlives its parent by a
moment, it is also who ends what else is left of an embedded Ray.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import random
import runpy
import selectors
import shutil
import signal
import socket
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from orchestrator.cluster import forkclient
from orchestrator.cluster.fork_safety import untouched_randomness
from orchestrator.cluster.leftovers import MARK, end_leftovers
from orchestrator.records.timeline import phase

#: What a worker needs and is slow to import, and what Ray imports.
PRELOAD = (
    "tensorflow",
    "keras",
    "orchestrator.training.worker",
    "fsspec",
    "google.protobuf",
    "jsonschema",
    "msgpack",
    "pyarrow.dataset",
    "pyarrow.fs",
    "pyarrow.json",
    "pydantic.v1",
    "tensorflow.summary",
    "yaml",
)

#: What is imported with the environment of the first worker: Ray's core reads its settings, and
#: which job and raylet it belongs to, when it is imported.
PRELOAD_RAY = (
    "ray.tune",
    "ray._private.arrow_serialization",
    "orchestrator.training.trainer",
)

#: What Ray's core reads once, from the environment that it finds first.
_RAY_IDENTITY = ("RAY_JOB_ID", "RAY_RAYLET_PID")

_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


@dataclass(frozen=True, kw_only=True)
class _Worker:
    """A forked process and the connection of the client that stands for it."""

    pid: int
    client: socket.socket


class ForkServer:
    """Listens on a unix socket and forks a worker for each request.

    Args:
        address: Path of the socket; its folder must be private to the user.
    """

    def __init__(self, address: str) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(address)
        self._listener.listen(64)
        self._workers: dict[int, _Worker] = {}
        #: What Ray was imported for; None before.
        self._ray: dict[str, str | None] | None = None
        #: What a run has said of itself for which workers are forked; None: nobody has.
        self._claim: dict[str, Any] | None = None
        self._retired = False
        self._selector = selectors.DefaultSelector()
        # A child's end wakes the selector through this pipe.
        self._wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _ignore)

    def serve(self) -> NoReturn:
        """Fork workers until this process is ended."""
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._reap)
        while True:
            for key, _ in self._selector.select():
                key.data(key.fileobj)
            if self._retired and not self._workers:
                os._exit(0)

    def retire(self) -> None:
        """End once there are no workers any more; a signal's handler may call this."""
        self._retired = True

    def _accept(self, _: Any) -> None:
        client, _ = self._listener.accept()
        try:
            request, fds = forkclient.receive_request(client)
        except (OSError, ValueError):
            client.close()
            return
        if request.get("claim"):
            self._take_claim(client, request, fds)
            return
        if not self.import_ray(request["env"]):
            client.close()
            for fd in fds:
                os.close(fd)
            return
        server = os.getpid()
        released, release = os.pipe()
        pid = os.fork()
        if pid == 0:
            die_with_parent(signal.SIGKILL, parent=server)
            os.close(release)
            if not os.read(released, 1):  # The server is gone, and the client was told nothing.
                os._exit(1)
            os.close(released)
            self._become_worker(client, request, fds)
        for fd in (*fds, released):
            os.close(fd)
        self._workers[pid] = _Worker(pid=pid, client=client)
        self._selector.register(client, selectors.EVENT_READ, self._client_gone)
        # A client that isn't told of its process starts one by itself, so it hears of this one
        # before this one does anything.
        with contextlib.suppress(OSError):  # The client is gone; the selector says so next.
            client.sendall(struct.pack("!i", pid))
        with contextlib.suppress(OSError):  # It was killed already; its end is reported as any is.
            os.write(release, b"!")
        os.close(release)

    def _take_claim(self, client: socket.socket, request: dict[str, Any], fds: list[int]) -> None:
        """Remember the surroundings of the run that workers are going to be forked for."""
        self._claim = request
        for fd in fds:
            os.close(fd)
        with contextlib.suppress(OSError):
            client.sendall(struct.pack("!i", os.getpid()))
        client.close()

    def import_ray(self, env: dict[str, str]) -> bool:
        """Have Ray imported for the job and the raylet of this environment.

        Returns:
            False if it was imported for others; the client then starts its process by itself. An
            embedded Ray has one of each.
        """
        belongs = {name: env.get(name) for name in _RAY_IDENTITY}
        if self._ray is None:
            self._ray = belongs
            own = dict(os.environ)
            os.environ.update(env)
            with phase("import of Ray for workers"), untouched_randomness():
                for module in PRELOAD_RAY:
                    __import__(module)
            os.environ.clear()
            os.environ.update(own)
            # Collecting what was imported would write to every page that is shared with the forked
            # processes.
            gc.freeze()
        return self._ray == belongs

    def _client_gone(self, client: socket.socket) -> None:
        """Kill the worker whose client was killed: Ray believes that it is gone."""
        for worker in self._workers.values():
            if worker.client is client:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.pid, signal.SIGKILL)
        self._selector.unregister(client)

    def _reap(self, pipe: int) -> None:
        os.read(pipe, 4096)
        while self._workers:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._report_end(self._workers.pop(pid, None), status)

    def _report_end(self, worker: _Worker | None, status: int) -> None:
        if worker is None:
            return
        with contextlib.suppress(OSError):
            worker.client.sendall(struct.pack("!i", os.waitstatus_to_exitcode(status)))
        with contextlib.suppress(KeyError):
            self._selector.unregister(worker.client)
        worker.client.close()

    def _become_worker(
        self, client: socket.socket, request: dict[str, Any], fds: list[int]
    ) -> NoReturn:
        """Turn this freshly forked process into the one that was asked for."""
        os.setpgid(0, 0)  # Ray kills a dead worker's whole process group.
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        self._selector.close()
        self._listener.close()
        client.close()
        for target, fd in enumerate(fds):
            os.dup2(fd, target)
            os.close(fd)
        os.chdir((self._claim or request)["cwd"])
        env = request["env"] if self._claim is None else _claimed(request["env"], self._claim)
        os.environ.clear()
        os.environ.update(env)
        sys.argv = request["argv"]
        random.seed()
        gc.enable()
        _run(request["argv"][0])


def _claimed(env: dict[str, str], claim: dict[str, Any]) -> dict[str, str]:
    """Return the environment of a run's worker, and let it import what the run can.

    Args:
        env: What Ray gives it: what Ray was started with, and what it adds for this worker.
        claim: What the run's driver has said of itself.
    """
    sys.path[:] = claim["path"]
    added = {name: value for name, value in env.items() if os.environ.get(name) != value}
    return {**claim["env"], **added, MARK: os.environ[MARK]}


def _run(script: str) -> NoReturn:
    """Run a script as the main module and end the process with its exit code."""
    code = 1
    try:
        runpy.run_path(script, run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - whatever ends the script is printed, as Python does
        sys.excepthook(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(code)


def die_with_parent(number: signal.Signals, *, parent: int) -> None:
    """Have the kernel send this process a signal when its parent dies (Linux).

    Args:
        number: The signal.
        parent: The parent's process number; if that one is dead already, this one ends at once.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os._exit(1)


def _ignore(number: int, frame: FrameType | None) -> None:
    """Let a signal wake the selector, and no more."""


def main(address: str, *, parent: int) -> NoReturn:
    """Serve at a socket until SIGTERM, or until the process that started this one, `parent`, dies.

    Then everything ends that carries the mark of this process.
    """
    heed_end(address, parent=parent)
    Path(address).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    server = ForkServer(address)  # Before the imports: clients that come early wait in the queue.
    preload()
    server.serve()


def heed_end(address: str, *, parent: int) -> None:
    """End with SIGTERM, or with the parent, and with whatever carries the mark of this process.

    Args:
        address: Socket, whose folder goes too: who made it may have been killed.
        parent: Process number of the parent.
    """

    def end(number: int, frame: FrameType | None) -> None:
        # One that serves a cluster leaves what belongs to that alone.
        if MARK in os.environ:
            end_leftovers(os.environ[MARK])
            shutil.rmtree(Path(address).parent, ignore_errors=True)
        os._exit(128 + number)

    signal.signal(signal.SIGTERM, end)
    die_with_parent(signal.SIGTERM, parent=parent)


def preload() -> None:
    """Import what every worker needs, whatever it belongs to.

    Garbage isn't collected any more, as modules leave hardly any: 5,000 objects of 500,000, which
    are looked through again and again while there come more (a fifth of 8 s).
    """
    gc.disable()
    with phase("import of TensorFlow"):
        for module in PRELOAD:
            __import__(module)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
