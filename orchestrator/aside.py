"""Work that a thread does aside, while the main one does what only it can.

Ray has to be started in the main thread: its processes end with the thread that started them, and
signals come there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, TypeVar

Result = TypeVar("Result")


class CalledOffError(Exception):
    """Work that is done aside is wanted no more."""


class Aside(Generic[Result]):
    """Does some work in a thread during a `with` block; a block that fails calls it off.

    Args:
        work: The work. It is given `check`, which it has to call now and then.
    """

    def __init__(self, work: Callable[[Callable[[], None]], Result]) -> None:
        self._work = work
        self._found: list[Result] = []
        self._error: BaseException | None = None
        self._called_off = threading.Event()
        self._thread = threading.Thread(target=self._do, name="aside", daemon=True)

    def result(self) -> Result:
        """Wait for the work, and return what it came to.

        Raises:
            BaseException: What the work has raised.
        """
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._found[0]

    def check(self) -> None:
        """Raise if the work was called off.

        Raises:
            CalledOffError: It was.
        """
        if self._called_off.is_set():
            raise CalledOffError

    def __enter__(self) -> Aside[Result]:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._called_off.set()
        self._thread.join()

    def _do(self) -> None:
        try:
            self._found.append(self._work(self.check))
        except BaseException as err:  # noqa: BLE001 - it is raised again in the other thread
            self._error = err
