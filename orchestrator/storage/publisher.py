"""Publishes a run's folder among the objects of its storage, from its driver's process.

It pushes whenever something was written to the log of events, and every few seconds besides. A
storage that doesn't answer for a while holds nothing up: the run goes on in its folder, and all of
it is pushed when the storage is back. At the end there is no way around it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from orchestrator.errors import RunFailedError, UnavailableError
from orchestrator.storage.atomic import leave_request
from orchestrator.storage.claim import RENEW_S, Claim
from orchestrator.storage.mirror import Mirror
from orchestrator.storage.objects import Objects

#: How often the log of events is looked at.
_LOOK_S = 0.5

#: How often other files are pushed, and it is asked whether the run is to stop.
_PUSH_S, _ASK_S = 10, 2

#: How long the storage is tried at the end.
_PATIENCE_S = 60

#: The object, and the file, that ask a run to stop.
_STOP = "stop.json"


class Publisher:
    """Holds a run for the driver in this process, and publishes it until the end.

    Args:
        mirror: The run's folder and objects; no other process on this machine drives it.
    """

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._claim = Claim(mirror)
        self._over = threading.Event()
        self._taken = threading.Event()
        self._threads = [
            threading.Thread(target=self._often, args=args, daemon=True)
            for args in ((self._renew, RENEW_S), (self._push_news, _LOOK_S), (self._ask, _ASK_S))
        ]
        self._pushed: tuple[float, int] = (0.0, -1)

    def __enter__(self) -> Publisher:
        """Claim the run, bring its folder to where it stands, and begin to publish.

        Raises:
            UsageError: Another driver's claim lives.
            UnavailableError: The storage can't be used.
        """
        with self._mirror.settled():
            self._claim.take()
            try:
                if not self._mirror.is_home():
                    self._mirror.fetch(lambda name: True)
                    self._mirror.settle()
                self._mirror.objects.remove(_STOP)
            except BaseException:
                self._claim.release()
                raise
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Publish what is left, and let go of the run.

        Raises:
            UnavailableError: The storage can't be written.
            RunFailedError: Another driver has taken the run.
        """
        self._over.set()
        for thread in self._threads:
            thread.join()
        if self._taken.is_set() or not self._finish():
            raise RunFailedError(
                f"Run {self._mirror.folder.name} was taken up elsewhere while its storage could "
                "not be reached from here.",
                hint=f"`launch-job ls` shows how it goes on. What was done here is in "
                f"{self._mirror.folder}.",
            ) from error

    def _finish(self) -> bool:
        """Push the rest and take the claim back; return False if the run is another's."""
        until = time.monotonic() + _PATIENCE_S
        while True:
            try:
                if not self._claim.renew():
                    return False
                self._mirror.push()
                self._claim.release()
            except UnavailableError as err:
                if time.monotonic() < until:
                    time.sleep(_LOOK_S)
                    continue
                raise UnavailableError(
                    f"What run {self._mirror.folder.name} has done can't be published: "
                    f"{err.message}",
                    hint=f"It is in {self._mirror.folder}; `launch-job ls` publishes it from here "
                    "once the storage is back.",
                ) from err
            return True

    def _often(self, function: Callable[[], None], pause_s: float) -> None:
        """Call a function until the end; what fails is tried again."""
        while not self._over.wait(pause_s) and not self._taken.is_set():
            try:
                function()
            except (UnavailableError, OSError):
                continue

    def _renew(self) -> None:
        if not self._claim.renew():
            self._taken.set()
            leave_request(self._mirror.folder / _STOP, by="another driver of the run")

    def _push_news(self) -> None:
        events = self._mirror.folder / "events.jsonl"
        now, size = time.monotonic(), events.stat().st_size if events.exists() else 0
        if size != self._pushed[1] or now - self._pushed[0] >= _PUSH_S:
            self._mirror.push()
            self._pushed = (now, size)

    def _ask(self) -> None:
        if self._mirror.objects.read(_STOP) is not None:
            leave_request(self._mirror.folder / _STOP, by="launch-job stop")
            self._mirror.objects.remove(_STOP)


def ask_to_stop(objects: Objects) -> None:
    """Ask the driver of a run, wherever it is, to stop.

    Args:
        objects: The run's.

    Raises:
        UnavailableError: The storage can't be written.
    """
    objects.write(_STOP, b"{}")
