"""The program that Ray starts in place of Python for each worker.

It asks the fork server for a process that runs the same command line, and stands for that process
until it ends: it forwards signals, and its own end tells the server to end the other. It starts
with `-I -S` or in `forkshim.py`, and imports little of the standard library: a run of four workers
starts it seven times, before any of them does anything, and `socket`, `pathlib` and `typing` would
more than double its 28 ms of processor time.

If no server answers, it becomes the process itself, which costs the time to import TensorFlow.
"""

from __future__ import annotations

import _socket as socket  # What Python's own `socket` adds to it takes a third of the time.
import array
import json
import os
import signal
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FDS = 3
_LENGTH = struct.Struct("!i")


#: Stands in an address for the raylet that starts a process: a host may have two, while one that
#: its cluster has given up ends, and what is forked ends with the server's raylet.
RAYLET = "{raylet}"


def address_here(address: str) -> str:
    """Return the address of the server that forks for this process's raylet and job."""
    address = address.replace(RAYLET, os.environ.get("RAY_RAYLET_PID", ""))
    if not os.path.isdir(address):  # noqa: PTH112
        return address
    return socket_of(address, os.environ.get("RAY_JOB_ID", ""))


def socket_of(folder: str | os.PathLike[str], job: str) -> str:
    """Return the socket of the server that forks the processes of one Ray job."""
    return os.path.join(folder, f"{job}.sock")  # noqa: PTH118


def receive_request(client: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Receive what `send_request` sent: (request, file descriptors).

    Raises:
        ValueError: The other side sent something else.
    """
    fds = array.array("i")
    head, ancillary, _, _ = client.recvmsg(_LENGTH.size, socket.CMSG_LEN(_FDS * fds.itemsize))
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    if len(head) < _LENGTH.size or len(fds) != _FDS:
        raise ValueError("not a request")
    return json.loads(_read(client, _LENGTH.unpack(head)[0])), list(fds)


def send_request(server: socket.socket, argv: list[str], **more: Any) -> None:
    """Ask for a process with this command line and this process's surroundings.

    Args:
        server: Connection to the server.
        argv: The command line.
        more: What else to say.
    """
    cwd = os.getcwd()  # noqa: PTH109
    request = {"argv": argv, "cwd": cwd, "env": dict(os.environ), **more}
    body = json.dumps(request).encode()
    fds = array.array("i", range(_FDS))
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)]
    server.sendmsg([_LENGTH.pack(len(body))], rights)
    server.sendall(body)


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise ValueError("the connection closed early")
        data += part
    return data


def main(address: str, argv: list[str]) -> int:
    """Stand for a forked process that runs `argv`; return its exit code.

    Args:
        address: The server's socket, in which `RAYLET` may stand; or the folder of the servers of
            several Ray jobs.
        argv: The command line, without the interpreter.
    """
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        server.connect(address_here(address))
        send_request(server, argv)
        pid = _LENGTH.unpack(_read(server, _LENGTH.size))[0]
    except (OSError, ValueError) as err:
        print(f"launch-job: no fork server ({err}); starting without it", file=sys.stderr)
        os.execv(sys.executable, [sys.executable, *argv])
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda got, _: os.kill(pid, got))
    try:
        code = _LENGTH.unpack(_read(server, _LENGTH.size))[0]
    except (OSError, ValueError):
        return 1
    # A process that a signal ended has no exit code; the shell's custom stands in for it.
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
