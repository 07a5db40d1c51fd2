"""Ends whatever an embedded Ray has started and left running, known by a mark in its environment.

Ray's processes watch each other, and end when the one that started them is gone. But its agents,
if their raylet was killed, first report that to a control store that was killed as well, for a
minute. Their environment can't be relied on either: they write their title over it.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

#: Environment variable that tells which embedded Ray a process belongs to.
MARK = "LAUNCH_JOB_EMBEDDED_RAY"

#: Titles of a raylet's agents.
_AGENTS = (b"ray::DashboardAgent", b"ray::RuntimeEnvAgent")

#: A process may have started another one while it was looked for.
_ROUNDS = 10


def end_leftovers(mark: str) -> None:
    """Kill all processes of this machine that carry a mark, but for this one (Linux).

    So are agents that have lost their raylet, whosever it was: they serve nobody any more.

    Args:
        mark: Value of the environment variable `MARK` when they were started.
    """
    for _ in range(_ROUNDS):
        found = [*_marked(mark), *_agents_without_raylet()]
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


def _agents_without_raylet() -> Iterator[int]:
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cmdline").read_bytes().startswith(_AGENTS):
                # The name before the parent's number may have spaces in it.
                parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
                if b"raylet" not in Path("/proc", parent, "cmdline").read_bytes():
                    yield int(process.name)
