"""What a run has left running."""

import time
from pathlib import Path


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
