"""Whether a run's driver lives: it holds a lock that the kernel frees when it dies.

Of a run in an object storage, the lock tells drivers on this machine apart, and a claim those on
several; and whoever holds it publishes the run.

The lock is advisory (`flock`), on a file in the run's folder. It needs no heartbeat and no clock: a
driver that was killed has let go of it at once, and one that was only stopped still holds it. On a
network's file system it reaches as far as that file system's locks do.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from pathlib import Path
from types import TracebackType

from orchestrator.errors import UsageError
from orchestrator.storage.atomic import storage_errors
from orchestrator.storage.claim import is_claimed
from orchestrator.storage.publisher import Publisher
from orchestrator.storage.run_folder import RunFolder

#: Someone who only looks holds the lock for microseconds; a driver tries again that often.
_ATTEMPTS, _PAUSE_S = 20, 0.01

#: How often someone who waits for a driver's end looks.
_LOOK_S = 0.2


class DriverLock:
    """Held by a run's driver from before its first word to after its last.

    Args:
        run: The run.
    """

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._handle: int | None = None
        self._publisher: Publisher | None = None

    def __enter__(self) -> DriverLock:
        """Take the lock.

        Raises:
            UsageError: Another driver holds it.
            UnavailableError: The storage can't be used.
        """
        path = self._run.driver_lock
        handle = hold(path)
        if handle is None:
            raise UsageError(
                f"Run {self._run.run_id} is already being driven{_who(path)}.",
                hint=f"`launch-job stop {self._run.run_id}` stops it.",
            )
        self._handle = handle
        os.ftruncate(handle, 0)
        holder = {"host": socket.gethostname(), "pid": os.getpid()}
        os.pwrite(handle, json.dumps(holder).encode(), 0)
        if (mirror := self._run.mirror) is not None:
            try:
                self._publisher = Publisher(mirror).__enter__()
            except BaseException:
                self._let_go()
                raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._publisher is not None:
                self._publisher.__exit__(kind, error, trace)
        finally:
            self._let_go()

    def _let_go(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def is_driven(run: RunFolder) -> bool:
    """Return whether a driver of the run lives.

    Raises:
        UnavailableError: The storage can't be reached.
    """
    return is_held(run.driver_lock) or (run.mirror is not None and is_claimed(run.mirror))


def publish_rest(run: RunFolder) -> None:
    """Publish what a driver on this machine was kept from publishing, unless the run goes on.

    Raises:
        UnavailableError: The storage can't be used.
    """
    if run.mirror is None or run.mirror.home() is None or run.mirror.is_pushed():
        return
    if not is_driven(run) and run.mirror.is_home():
        with DriverLock(run):
            pass  # Whoever holds it publishes it.


def await_end(run: RunFolder) -> None:
    """Wait until no driver of the run lives."""
    while is_driven(run):
        time.sleep(_LOOK_S)


def hold(path: Path) -> int | None:
    """Hold a file locked as long as this process lives, or until the handle is closed.

    Returns:
        The file's handle; None if another process holds it.

    Raises:
        UnavailableError: The storage can't be written.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    for _ in range(_ATTEMPTS):
        if _try_lock(handle):
            return handle
        time.sleep(_PAUSE_S)
    os.close(handle)
    return None


def is_held(path: Path) -> bool:
    """Return whether a process holds a file locked."""
    try:
        handle = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        return not _try_lock(handle)
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _who(path: Path) -> str:
    try:
        holder = json.loads(path.read_text())
        return f" by process {holder['pid']} on {holder['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
