"""How the workers of one machine find each other: without a name, a port or a file that stays.

The first of them makes what they need, memory and a connection between each two, and hands it out
over a Unix socket (unix(7), SCM_RIGHTS). All of it goes with the processes that hold it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from orchestrator.errors import UnavailableError

#: Who comes early waits for so long. Workers may come minutes apart, where each copies its rows
#: from afar first; and one that has ended takes the others with it.
_PATIENCE_S = 3600.0

#: How often the first one is looked for.
_LOOK_S = 0.01


@dataclass(frozen=True, kw_only=True)
class Meeting:
    """What one of them holds when all have met."""

    #: File of the memory that all of them share, filled with zeros.
    memory: int
    #: A connection to each of the others, by its number.
    peers: dict[int, socket.socket]


def meet(
    folder: Path, name: str, *, who: int, count: int, size: int, patience_s: float = _PATIENCE_S
) -> Meeting:
    """Wait until all have come, and return what this one holds then.

    Args:
        folder: Folder that all of them share, and nobody else uses.
        name: Name of the meeting: each has its own.
        who: Number of this one, from 0.
        count: How many they are.
        size: Bytes of memory.
        patience_s: How long to wait at most, in seconds.

    Raises:
        UnavailableError: Somebody didn't come.
        ConnectionError: Somebody has ended meanwhile.
        OSError: The folder can't be written, or there is no such memory.
    """
    folder.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + patience_s
    with _short(folder) as short:
        try:
            if who == 0:
                return _invite(short / name, count, size, deadline)
            return _join(short / name, who, count, deadline)
        except TimeoutError as err:
            raise UnavailableError(
                f"The {count} workers of this machine have not met within {patience_s:g} s."
            ) from err


@contextlib.contextmanager
def _short(folder: Path) -> Iterator[Path]:
    """Yield a short path of a folder: that of a socket may have 107 bytes."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield Path(f"/proc/self/fd/{opened}")
    finally:
        os.close(opened)


def _invite(path: Path, count: int, size: int, deadline: float) -> Meeting:
    with contextlib.ExitStack() as undone:
        memory = os.memfd_create(path.name)
        undone.callback(os.close, memory)
        # Where there is no room for it, that shows here, and not when it is written.
        os.posix_fallocate(memory, 0, size)
        ends: list[dict[int, socket.socket]] = [{} for _ in range(count)]
        for one, other in itertools.combinations(range(count), 2):
            ends[one][other], ends[other][one] = map(undone.enter_context, socket.socketpair())
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(str(path))
            undone.callback(path.unlink)
            door.listen(count)
            for _ in range(count - 1):
                _hand_out(door, memory, ends, deadline)
        path.unlink()
        undone.pop_all()
    return Meeting(memory=memory, peers=ends[0])


def _hand_out(
    door: socket.socket, memory: int, ends: list[dict[int, socket.socket]], deadline: float
) -> None:
    """Give the next one that comes what is its own."""
    door.settimeout(_left(deadline))
    guest, _ = door.accept()
    with guest:
        guest.settimeout(_left(deadline))
        (who,) = guest.recv(1) or _ended()
        own = ends[who]
        socket.send_fds(guest, [b"."], [memory, *(own[peer].fileno() for peer in sorted(own))])
    for given in own.values():
        given.close()


def _join(path: Path, who: int, count: int, deadline: float) -> Meeting:
    with _connected(path, deadline) as host:
        host.send(bytes([who]))
        host.settimeout(_left(deadline))
        told, files, _, _ = socket.recv_fds(host, 1, count)
    memory, *connections = files if told else _ended()
    others = (peer for peer in range(count) if peer != who)
    peers = {
        peer: socket.socket(fileno=file) for peer, file in zip(others, connections, strict=True)
    }
    return Meeting(memory=memory, peers=peers)


def _connected(path: Path, deadline: float) -> socket.socket:
    """Connect to the first one, which may come later."""
    while True:
        client = socket.socket(socket.AF_UNIX)
        try:
            client.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            client.close()
            if time.monotonic() > deadline:
                raise TimeoutError from None
            time.sleep(_LOOK_S)
        else:
            return client


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.001)


def _ended() -> NoReturn:
    raise ConnectionResetError("Connection reset by peer: a worker of this machine has ended.")
