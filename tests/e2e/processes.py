"""What a run has left running."""

import time
from pathlib import Path

#: A socket's state in /proc/net/tcp (Linux, net/tcp_states.h).
LISTENING = "0A"


def left_running(command):
    """Return what still runs after the processes of a command have had time to end."""
    deadline = time.monotonic() + 20
    while processes_of(command) and time.monotonic() < deadline:
        time.sleep(0.1)
    return processes_of(command)


def processes_of(command):
    """Return the command lines of processes that a command started, directly or not.

    All of them have its storage in their environment.
    """
    mark = f"LAUNCH_JOB_STORAGE={command.storage}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes())
        except OSError:
            continue
    return found


def listening_beyond_loopback(command):
    """Return where processes of a command can be connected to from other machines."""
    mark = f"LAUNCH_JOB_STORAGE={command.storage}".encode()
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark not in (process / "environ").read_bytes():
                continue
            sockets = {str(fd.readlink()) for fd in (process / "fd").iterdir()}
            rows = [
                line.split()
                for table in ("tcp", "tcp6")
                for line in (process / "net" / table).read_text().splitlines()[1:]
            ]
        except OSError:
            continue
        for row in rows:
            local, state, inode = row[1], row[3], row[9]
            if state == LISTENING and f"socket:[{inode}]" in sockets and not _on_loopback(local):
                found.add((process / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:80])
    return found


def _on_loopback(address):
    """Say so of an address as /proc/net writes it, its words in the machine's byte order."""
    words = address.partition(":")[0]
    return words.endswith("0100007F") or words == "0" * 24 + "01000000"


def workers_of(command):
    """Return the process numbers of a run's workers."""
    mark = f"LAUNCH_JOB_STORAGE={command.storage}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            named = (process / "cmdline").read_bytes().startswith(b"ray::RayTrainWorker")
            if named and mark in (process / "environ").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return sorted(found)
