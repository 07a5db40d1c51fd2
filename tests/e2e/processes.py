"""What a command has started: whether it still runs, and who can connect to it."""

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
    """Return the command lines of processes that a command started, directly or not."""
    return [line for _, line in _processes(command)]


def workers_of(command):
    """Return the process numbers of a run's workers."""
    return _named(command, b"ray::RayTrainWorker")


def controller_of(command):
    """Return the process number of a run's controller."""
    (number,) = _named(command, b"ray::TrainController")
    return number


def _named(command, title):
    return sorted(int(p.name) for p, line in _processes(command) if line.startswith(title))


def listening_beyond_loopback(command):
    """Return the command lines of its processes that other machines could connect to."""
    return {line for process, line in _processes(command) if _is_exposed(process)}


def _processes(command):
    """Yield folder and command line of each process that has a command's storage in its variables.

    All that the command started have, and what these did.
    """
    mark = f"LAUNCH_JOB_STORAGE={command.storage}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes():
                yield process, (process / "cmdline").read_bytes()
        except OSError:
            continue


def _is_exposed(process):
    """Return whether a process listens on another address than loopback."""
    try:
        held = {str(fd.readlink()) for fd in (process / "fd").iterdir()}
        tables = [(process / "net" / name).read_text() for name in ("tcp", "tcp6")]
    except OSError:
        return False
    rows = [line.split() for table in tables for line in table.splitlines()[1:]]
    return any(
        state == LISTENING and f"socket:[{inode}]" in held and not _on_loopback(local)
        for local, state, inode in ((row[1], row[3], row[9]) for row in rows)
    )


def _on_loopback(address):
    """Say so of an address as /proc/net writes it, its words in the machine's byte order."""
    words = address.partition(":")[0]
    return words.endswith("0100007F") or words == "0" * 24 + "01000000"
