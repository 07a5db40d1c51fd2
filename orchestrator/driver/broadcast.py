"""What an observer is told, written into the run's folder for those who follow it from elsewhere.

Whatever happens once becomes an event. Where the run stands at this moment (the newest step, how
far a preparation is, what is waited for) is a small file of its own that is written over and over:
who reads it now and then misses nothing that they need.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from orchestrator.observer import Observer
from orchestrator.records.events import EventLog
from orchestrator.states import RunState
from orchestrator.storage.run_folder import RunFolder
from orchestrator.training.mailbox import Update

#: The live file is written no more often than this.
_EVERY_S = 0.5

#: How a note begins that tells what a run waits for (`orchestrator.driver.place.await_room`).
WAITING = "Waiting: "


class Broadcast(Observer):
    """Writes for followers.

    Args:
        run: The run; this process drives it.
        clock: Seconds that only grow.
    """

    def __init__(self, run: RunFolder, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._run = run
        self._log = EventLog(path=run.events)
        self._clock = clock
        self._last_note: str | None = None
        self._written: float | None = None

    def note(self, text: str) -> None:
        """Write it down, once for as long as nothing else is noted."""
        if text.startswith(WAITING):
            self._write({"waiting": text.removeprefix(WAITING)})
        if text != self._last_note:
            self._log.append("note", text=text)
        self._last_note = text

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Leave how far it is."""
        self._write_now_and_then({"progress": {"what": what, "done": done, "total": total}})

    def began(self, run: RunFolder, *, epochs: int, rows: int, steps_per_epoch: int) -> None:
        """Write down what a follower's bar needs."""
        self._log.append("plan", epochs=epochs, rows=rows, steps_per_epoch=steps_per_epoch)

    def entered(self, state: RunState) -> None:
        """Take the live file away at the end: what it says is no longer so."""
        if state.finished:
            with contextlib.suppress(OSError):
                self._run.live.unlink(missing_ok=True)

    def dashboard(self, address: str) -> None:
        """Write the address down."""
        self._log.append("dashboard", address=address)

    def update(self, update: Update) -> None:
        """Leave a step; the driver writes the other news down."""
        if update.kind == "step":
            self._write_now_and_then({"update": asdict(update)})
        elif update.kind in ("ready", "first_step"):
            self._write({"update": asdict(update)})

    def _write_now_and_then(self, content: Mapping[str, Any]) -> None:
        now = self._clock()
        if self._written is None or now - self._written >= _EVERY_S:
            self._written = now
            self._write(content)

    def _write(self, content: Mapping[str, Any]) -> None:
        """Replace the file; it is worth neither a wait for the disk nor the end of a run."""
        path = self._run.live
        beside = path.with_name(f".{path.name}")
        with contextlib.suppress(OSError):
            beside.write_text(json.dumps({"time": time.time(), **content}))
            os.replace(beside, path)


class Audience(Observer):
    """Passes everything on to several observers.

    Args:
        observers: They are told in this order.
    """

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def note(self, text: str) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.note(text)

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.progress(what, done, total)

    def began(self, run: RunFolder, *, epochs: int, rows: int, steps_per_epoch: int) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.began(run, epochs=epochs, rows=rows, steps_per_epoch=steps_per_epoch)

    def entered(self, state: RunState) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.entered(state)

    def dashboard(self, address: str) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.dashboard(address)

    def update(self, update: Update) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.update(update)
