"""Ends whatever an embedded Ray has started and left running, known by a mark in its environment.

Ray's processes watch each other, and end when the one that started them is gone. But its agents,
if their raylet was killed, first report that to a control store that was killed as well, for a
minute; and so does a part of the dashboard that was just starting. Their environment can't be
relied on either: they write their title over it.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

#: Environment variable that tells which embedded Ray a process belongs to.
MARK = "LAUNCH_JOB_EMBEDDED_RAY"

#: Titles of a raylet's agents and of the dashboard's parts, and what is in the command line of the
#: process that each belongs to.
_BELONG_TO = {
    b"ray::DashboardAgent": b"raylet",
    b"ray::RuntimeEnvAgent": b"raylet",
    b"ray-dashboard-": b"multiprocessing.forkserver",
}

#: A process may have started another one while it was looked for.
_ROUNDS = 10


def end_leftovers(mark: str) -> None:
    """Kill all processes of this machine that carry a mark, but for this one (Linux).

    So are agents that have lost their raylet, and parts of a dashboard that have lost it, whosever
    it was: they serve nobody any more.

    Args:
        mark: Value of the environment variable `MARK` when they were started.
    """
    for _ in range(_ROUNDS):
        found = [*_marked(mark), *_orphans()]
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return


def _marked(mark: str) -> Iterator[int]:
    entry = f"{MARK}={mark}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        # One that has ended meanwhile, or is another user's, can't be read.
        with contextlib.suppress(OSError):
            if entry in (process / "environ").read_bytes().split(b"\0"):
                pid = int(process.name)
                if pid != os.getpid():
                    yield pid


def _orphans() -> Iterator[int]:
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (process / "cmdline").read_bytes()
            owner = next((of for title, of in _BELONG_TO.items() if command.startswith(title)), b"")
            # The name before the parent's number may have spaces in it.
            parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
            if owner and owner not in Path("/proc", parent, "cmdline").read_bytes():
                yield int(process.name)
