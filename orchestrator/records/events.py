"""events.jsonl: what happened in a run, one line a thing, in the order it happened.

The log is append-only and has one writer, the run's driver. A line that was cut off by a crash
stays as it is: readers pass over it, and the next one begins on a line of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from orchestrator.states import RunState, check_transition
from orchestrator.storage.atomic import storage_errors


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line of the log."""

    #: When it happened, in UTC.
    time: datetime
    #: What happened: `state`, `epoch`, `checkpoint`, `restart`, `resume` and so on.
    event: str
    #: What belongs to it: `state`, `epoch`, `step`, metrics.
    details: dict[str, Any]

    def to_line(self) -> str:
        """Return it as one line of JSON."""
        values = {"time": self.time.isoformat(), "event": self.event, **self.details}
        return json.dumps(values, ensure_ascii=False) + "\n"

    @classmethod
    def from_line(cls, line: bytes) -> Event:
        """Read one line of JSON.

        Raises:
            ValueError: It is not one.
        """
        values = json.loads(line)
        try:
            time, event = datetime.fromisoformat(values.pop("time")), values.pop("event")
        except (KeyError, TypeError, AttributeError) as err:
            raise ValueError(f"not an event: {line!r}") from err
        return cls(time=time, event=event, details=values)


@dataclass(frozen=True, kw_only=True)
class EventLog:
    """The log of one run."""

    #: The file.
    path: Path

    def append(self, event: str, *, at: datetime | None = None, **details: Any) -> Event:
        """Write a line and bring it to disk.

        Args:
            event: What happened.
            at: When; now, if it isn't said.
            details: What belongs to it, as JSON values.

        Raises:
            ValueError: It is a state that can't follow the current one.
            UnavailableError: The storage can't be written.
        """
        if event == "state":
            check_transition(self.state(), RunState(details["state"]))
        entry = Event(time=at or datetime.now(UTC), event=event, details=details)
        with storage_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab+") as file:
                file.write((_line_end_missing(file) + entry.to_line()).encode())
                file.flush()
                os.fsync(file.fileno())
        return entry

    def read(self) -> list[Event]:
        """Return every whole line, oldest first; nothing if there is no log."""
        return list(self._lines())

    def _lines(self) -> Iterator[Event]:
        if not self.path.is_file():
            return
        with storage_errors(self.path), self.path.open("rb") as file:
            for line in file:
                try:
                    yield Event.from_line(line)
                except ValueError:
                    continue

    def states(self) -> list[RunState]:
        """Return the states that the run was in, oldest first."""
        return [RunState(e.details["state"]) for e in self.read() if e.event == "state"]

    def state(self) -> RunState | None:
        """Return the state the run was last seen in; None before its first."""
        states = self.states()
        return states[-1] if states else None


class EventTail:
    """Reads a log that grows; each line is returned once, when it is whole.

    Args:
        path: The file; it need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = 0

    def read(self) -> list[Event]:
        """Return the events that came since the last call, oldest first."""
        if not self._path.is_file():
            return []
        with storage_errors(self._path), self._path.open("rb") as file:
            file.seek(self._place)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._place += len(whole)
        found = []
        for line in whole.splitlines():
            with contextlib.suppress(ValueError):
                found.append(Event.from_line(line))
        return found


def active_seconds(events: Sequence[Event], now: datetime) -> float:
    """Return how long a run was worked on: not counted is the time from an end to a resumption.

    Args:
        events: All events, oldest first.
        now: The end of the last stretch.
    """
    total, began, last = 0.0, None, None
    for event in events:
        if event.event == "state" and event.details["state"] == RunState.QUEUED:
            if began is not None and last is not None:
                total += (last - began).total_seconds()
            began = event.time
        # What follows a driver's death is not its work.
        if event.details.get("state") != RunState.LOST and event.event != "resume":
            last = event.time if last is None else max(last, event.time)
    return total + (now - began).total_seconds() if began else total


def _line_end_missing(file: BinaryIO) -> str:
    """Return the line end that a crash kept from the last line, or nothing."""
    if file.seek(0, os.SEEK_END) == 0:
        return ""
    file.seek(-1, os.SEEK_END)
    return "" if file.read(1) == b"\n" else "\n"
