"""Where a run's workers run, and waiting until there is room for them.

What is known of a place here is what a driver has to know. Ray is the concern of the places
themselves (`orchestrator.cluster`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from orchestrator.errors import StoppedError, UnavailableError

#: How often waiting for room is explained.
TELL_EVERY_S = 10.0

#: How often a place is asked for room while a run waits for it.
LOOK_EVERY_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Room:
    """What a place has for workers that need one CPU, or one GPU, each."""

    #: Workers that could start now.
    free: int
    #: Workers that could start if nothing else ran there.
    total: int
    #: Who holds the rest, in words: "job 20261123-lstm-mnist: 2 CPUs on 10.77.0.12".
    holders: tuple[str, ...] = ()


class Place(Protocol):
    """Where a run's workers run."""

    def start(self) -> None:
        """Bring Ray up, or join it, if that isn't done."""

    def gpus(self) -> int:
        """Return how many GPUs Ray has found; it must be up."""

    def threads(self, workers: int) -> int:
        """Return how many threads each of a number of workers computes with."""

    def room(self, device: Literal["cpu", "gpu"]) -> Room:
        """Say how many workers there is room for; Ray must be up."""

    def spare(self, device: Literal["cpu", "gpu"]) -> int:
        """Return how many more workers could start while the run's own are at work."""

    def each(
        self, function: Callable[[Any], None], items: Sequence[Any], tell: Callable[[], None]
    ) -> None:
        """Call a function with each item, on all machines; Ray must be up.

        `tell` is called now and then meanwhile.
        """

    def show(self) -> None:
        """Bring up what the run is looked at with, if that was left until it trains."""

    @property
    def worker_environment(self) -> Mapping[str, Any]:
        """What Ray's runtime environment of a run's workers has besides that of the run."""

    @property
    def dashboard(self) -> str | None:
        """Address of the Ray dashboard; None before it answers, or if there is none."""


def await_room(
    place: Place,
    *,
    least: int,
    most: int,
    device: Literal["cpu", "gpu"],
    wait_s: float | None,
    tell: Callable[[str], None],
    stop: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Wait until a place has room for a run's workers.

    Args:
        place: Where they are to run.
        least: Workers that it needs.
        most: Workers that it would take.
        device: What a worker needs one of.
        wait_s: Seconds to wait; without an end if None.
        tell: Told what is needed, what is free and who holds the rest: at once, and every 10 s.
        stop: Asked often; True ends the wait.
        clock: Seconds that only grow.
        pause: Waits for so many seconds.

    Returns:
        How many workers there is room for, between `least` and `most`.

    Raises:
        UnavailableError: There was no room in time.
        StoppedError: The wait was stopped.
    """
    began = clock()
    told: float | None = None
    while True:
        room = place.room(device)
        if room.free >= least:
            return min(most, room.free)
        now = clock()
        if stop():
            raise StoppedError("Stopped while waiting for free workers.")
        if wait_s is not None and now - began >= wait_s:
            raise UnavailableError(
                f"After {wait_s:g} s: {_facts(room, least, device)}",
                hint="Wait longer (--wait), use fewer workers, or add nodes to the cluster.",
            )
        if told is None or now - told >= TELL_EVERY_S:
            tell(f"Waiting: {_facts(room, least, device)}")
            told = now
        left = LOOK_EVERY_S if wait_s is None else began + wait_s - now
        pause(min(LOOK_EVERY_S, left))


def _facts(room: Room, least: int, device: Literal["cpu", "gpu"]) -> str:
    """Say what is needed, what is free and who holds the rest."""
    kind = device.upper()
    needed = f"{least} worker{'s' if least > 1 else ''} need{'' if least > 1 else 's'} "
    text = f"{needed}{amount(least, kind)}; {room.free} of {room.total} are free."
    if room.total < least:
        text += " Until nodes join, this cluster is too small."
    if room.holders:
        text += f" Held by: {'; '.join(room.holders)}."
    return text


def amount(number: float, kind: str) -> str:
    """Return a number of things as people say it: `1 CPU`, `2 CPUs`, `0.5 CPUs`."""
    return f"{number:g} {kind}" if number == 1 else f"{number:g} {kind}s"
