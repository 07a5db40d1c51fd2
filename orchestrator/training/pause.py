"""How training is interrupted without losing a step: somebody wishes it, and all workers agree.

A wish comes from outside (a request in the run's folder) or from the machine (SIGTERM, which
announces that a host is about to go). It travels with the gradients of the next steps, so that all
workers stop at the same one; they write a checkpoint there and end.
"""

from __future__ import annotations

import contextlib
import ctypes
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from orchestrator.storage.attempt import AttemptFolder

#: More than any C library's `struct sigaction` takes (152 on Linux).
_SIGACTION_BYTES = 1024


class PausedError(Exception):
    """Training stopped between two steps, and a checkpoint holds all of it."""


#: Set when this process was told to end.
_told_to_end = threading.Event()

#: Set while training would heed that.
_heeded = threading.Event()


def heed_sigterm() -> None:
    """Take SIGTERM as the wish to pause while this process trains; call it in the main thread.

    A second one, and one that comes while nothing is trained, does what it did before.
    """
    before: Any = signal.getsignal(signal.SIGTERM)

    def handle(number: int, frame: FrameType | None) -> None:
        if _heeded.is_set() and not _told_to_end.is_set():
            _told_to_end.set()
        elif callable(before):
            before(number, frame)
        else:
            raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, handle)


@contextlib.contextmanager
def sigterm_kept() -> Iterator[None]:
    """Put SIGTERM's handler back as it was, whatever the block does to it, in any thread.

    TensorFlow takes the signal for itself when a strategy joins its cluster. Python sets handlers
    in the main thread only, so this asks the C library, for which a handler is so many bytes.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    handler = ctypes.create_string_buffer(_SIGACTION_BYTES)
    if libc.sigaction(signal.SIGTERM, None, handler):
        raise OSError(ctypes.get_errno(), "sigaction")
    try:
        yield
    finally:
        libc.sigaction(signal.SIGTERM, handler, None)


def told_to_end() -> bool:
    """Return whether this process was told to end while it trained."""
    return _told_to_end.is_set()


class PauseWish:
    """Whether this worker wishes to pause.

    Args:
        attempt: The attempt, in whose folder or whose run's a pause is requested.
        rank: Rank of this worker; the first one looks for requests.
    """

    def __init__(self, attempt: AttemptFolder, *, rank: int) -> None:
        self._requests = (attempt.run.stop_request, attempt.resize_request) if rank == 0 else ()

    def __call__(self) -> bool:
        """Return whether it does now."""
        return _told_to_end.is_set() or any(path.exists() for path in self._requests)

    @contextlib.contextmanager
    def heeded(self) -> Iterator[None]:
        """Train, heeding SIGTERM."""
        _heeded.set()
        try:
            yield
        finally:
            _heeded.clear()
