"""Who drives a run that is published as objects: a claim that is renewed as long as he lives.

Object stores have no locks. But they are strictly consistent: of two drivers that write their
claims and then look for others', at least one sees the other's. Whoever sees a living one goes
back. A driver that was cut off for longer than a claim lives has lost the run as soon as another
one has made its own folder the run's home, and finds that out before it writes again.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import socket
import time
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.storage.mirror import Mirror

#: How long a claim lives after it was last renewed.
LIFE_S = 60

#: How often it is renewed.
RENEW_S = 10

#: Two that begin at once may both go back; they try again after a random time.
_ATTEMPTS, _PAUSE_S = 3, 1.0

_END = ".claim"


class Claim:
    """A driver's claim to a run.

    Args:
        mirror: The run's folder and objects. Drivers in one folder are told apart by its lock.
    """

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._home = mirror.named_home()
        self._name = f"{secrets.token_hex(8)}{_END}"

    def take(self) -> None:
        """Claim the run.

        Raises:
            UsageError: Another driver's claim lives.
            UnavailableError: The storage can't be used.
        """
        for attempt in range(_ATTEMPTS):
            self._write()
            others = self._others()
            if not (living := [who for who in others.values() if who is not None]):
                for name in others:
                    self._mirror.driver.remove(name)
                return
            self._mirror.driver.remove(self._name)
            if attempt + 1 < _ATTEMPTS:
                time.sleep(random.uniform(0, _PAUSE_S))
        raise UsageError(
            f"Run {self._mirror.folder.name} is already being driven{_said(living[0])}.",
            hint=f"`launch-job stop {self._mirror.folder.name}` stops it. If that machine is gone, "
            f"the run can be resumed in {LIFE_S} s.",
        )

    def renew(self) -> bool:
        """Renew the claim; return False if another driver has taken the run.

        Raises:
            UnavailableError: The storage can't be used.
        """
        if not self._mirror.is_home():
            return False
        self._write()
        return True

    def release(self) -> None:
        """Take the claim back.

        Raises:
            UnavailableError: The storage can't be used.
        """
        self._mirror.driver.remove(self._name)

    def _write(self) -> None:
        holder = {"host": socket.gethostname(), "pid": os.getpid(), "home": self._home}
        self._mirror.driver.write(self._name, json.dumps(holder).encode())

    def _others(self) -> dict[str, Any]:
        """Return others' claims, with who made them if they live; by the server's clock alone."""
        states = self._mirror.driver.states(deep=False)
        now_ns = states[self._name].written_ns
        return {
            name: _holder(self._mirror, name, now_ns - state.written_ns)
            for name, state in states.items()
            if name.endswith(_END) and name != self._name
        }


def is_claimed(mirror: Mirror, *, now_s: float | None = None) -> bool:
    """Whether a driver in another folder lives.

    Args:
        mirror: The run's folder and objects.
        now_s: Seconds since 1970; now, if it isn't said.

    Raises:
        UnavailableError: The storage can't be read.
    """
    now_ns = int((time.time() if now_s is None else now_s) * 1e9)
    return any(
        _holder(mirror, name, now_ns - state.written_ns) is not None
        for name, state in mirror.driver.states(deep=False).items()
        if name.endswith(_END)
    )


def _holder(mirror: Mirror, name: str, age_ns: int) -> dict[str, Any] | None:
    """Return who made a claim; None if he doesn't live, or is in this folder, by whose lock."""
    if age_ns > LIFE_S * 1e9 or (content := mirror.driver.read(name)) is None:
        return None
    holder: dict[str, Any] = json.loads(content)
    return None if holder["home"] == mirror.home() else holder


def _said(holder: dict[str, Any]) -> str:
    return f" by process {holder['pid']} on {holder['host']}"
