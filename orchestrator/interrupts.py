"""What SIGINT, SIGTERM and SIGHUP mean to a run: stop, in a way that loses nothing.

SIGTERM announces that the machine is wanted for something else, SIGHUP that the terminal is gone;
both stop a run as Ctrl-C does.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """The signals that this process gets while a run goes on.

    They raise KeyboardInterrupt at once, as Ctrl-C does; within `deferred`, the first one is only
    noted. Outside of the main thread, where Python handles no signals, nothing is changed.
    """

    def __init__(self) -> None:
        #: Name of the signal that was noted; None if there was none.
        self.noted: str | None = None
        self._deferred = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.getsignal(number) for number in _SIGNALS}
            self._install()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Note the first signal instead of raising; the second one raises."""
        if self._before:
            self._install()  # Ray takes SIGTERM for itself when it starts.
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False

    def _install(self) -> None:
        for number in _SIGNALS:
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._deferred and self.noted is None:
            self.noted = signal.Signals(number).name
            return
        raise KeyboardInterrupt
