"""What became of each tick: a log of numbered files for all schedules, each of which is made once.

A record tells what was decided in one pass: of each schedule in it, the ticks that follow those of
its record before, up to its own `through`. To add one, a loop makes the file with the next number,
which must not be there; if another loop was faster, it reads that one and decides anew. So however
many loops there are, and whenever they die, the records part time among them, and each tick has
exactly one outcome. (Delta Lake's log works the same way.) One file a pass, whole and on disk
before anything is started by it, costs as much for a thousand ticks as for one.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from orchestrator.errors import UnavailableError
from orchestrator.schedule.decision import Outcome
from orchestrator.schedule.folder import SchedulesFolder
from orchestrator.storage.atomic import read_json, storage_errors, sync_folder, write_json
from orchestrator.storage.storage import Storage

#: After so many records it is noted where the last one of each schedule is.
_NOTED_EVERY = 64


class OvertakenError(Exception):
    """Another loop has recorded something meanwhile: read the log on, and decide anew."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What one record tells of one schedule; its newest one is all that a loop has to know."""

    #: Number of the record that has the schedule's entry before; 0 if there is none.
    previous: int
    #: All ticks up to this are decided.
    through: datetime
    #: Ticks of earlier entries that were fired, and whose end nobody had recorded.
    before: tuple[Outcome, ...]
    #: Ticks that were decided, in their order.
    ticks: tuple[Outcome, ...]

    @property
    def open(self) -> tuple[Outcome, ...]:
        """Fired ticks whose end nobody had recorded, oldest first."""
        return (*self.before, *(outcome for outcome in self.ticks if outcome.run_id))

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "previous": self.previous,
            "through": self.through.isoformat(),
            "before": [outcome.as_dict for outcome in self.before],
            "ticks": [outcome.as_dict for outcome in self.ticks],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Entry:
        """Build it from JSON values.

        Raises:
            KeyError: A key is missing.
            ValueError: A time is none.
        """
        return cls(
            previous=values["previous"],
            through=datetime.fromisoformat(values["through"]),
            before=tuple(Outcome.from_dict(one) for one in values["before"]),
            ticks=tuple(Outcome.from_dict(one) for one in values["ticks"]),
        )


class Log:
    """The log of one storage, as far as it was read.

    Schedules are told apart by their keys: one that is removed and added again begins anew.

    Args:
        storage: The storage.
    """

    def __init__(self, storage: Storage) -> None:
        self._folder = SchedulesFolder.of(storage)
        self._number = 0
        #: Number of the last record of each schedule.
        self._last: dict[str, int] = {}
        self._tails: dict[str, Entry] = {}

    def read_on(self) -> set[str]:
        """Read what was recorded since the last time.

        Returns:
            Keys of the schedules that something was decided of.

        Raises:
            UnavailableError: A record is damaged, or can't be read.
        """
        changed: set[str] = set()
        if self._number == 0 and self._folder.note.exists():
            noted = read_json(self._folder.note)
            self._number, self._last = noted["number"], noted["last"]
            changed |= set(self._last)
        while (path := self._folder.record(self._number + 1)).exists():
            entries = _read(path)
            self._number += 1
            self._last |= dict.fromkeys(entries, self._number)
            self._tails |= entries
            changed |= set(entries)
        return changed

    def tail(self, key: str) -> Entry | None:
        """Return the newest entry of a schedule, as far as the log was read; None before its first.

        Raises:
            UnavailableError: A record is damaged, or can't be read.
        """
        if key not in self._tails and key in self._last:
            number = self._last[key]
            for other, entry in _read(self._folder.record(number)).items():
                if self._last.get(other) == number:
                    self._tails.setdefault(other, entry)
        return self._tails.get(key)

    def entries(self, key: str) -> Iterator[Entry]:
        """Yield the entries of a schedule, newest first.

        Raises:
            UnavailableError: A record is damaged, or can't be read.
        """
        entry = self.tail(key)
        while entry is not None:
            yield entry
            number = entry.previous
            entry = _read(self._folder.record(number))[key] if number else None

    def number_of_last(self, key: str) -> int:
        """Return the number of a schedule's last record; 0 if there is none."""
        return self._last.get(key, 0)

    def append(self, entries: Mapping[str, Entry]) -> None:
        """Add a record.

        Args:
            entries: What was decided, by key of the schedule, from what the log says so far.

        Raises:
            OvertakenError: The log goes on behind what was read of it.
            UnavailableError: The storage can't be written.
        """
        values = {key: entry.to_dict() for key, entry in entries.items()}
        self._make(self._number + 1, json.dumps(values, ensure_ascii=False) + "\n")
        self._number += 1
        self._last |= dict.fromkeys(entries, self._number)
        self._tails |= entries
        if self._number % _NOTED_EVERY == 0:
            # Without the note, whoever begins to read has more to read; the record is made.
            with contextlib.suppress(UnavailableError):
                noted = {"number": self._number, "last": self._last}
                write_json(self._folder.note, noted)

    def _make(self, number: int, content: str) -> None:
        """Make a record's file with all that is in it, unless there is one of that number."""
        path = self._folder.record(number)
        # A name that comes again would be dangerous: a loop that is killed between the next two
        # steps leaves it as another name of the record.
        temporary = path.with_name(f".{secrets.token_hex(8)}")
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("x") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                os.link(temporary, path)
            except FileExistsError as err:
                raise OvertakenError from err
            finally:
                temporary.unlink()
            sync_folder(path.parent)


def _read(path: Path) -> dict[str, Entry]:
    """Return what a record tells, by key of the schedule.

    Raises:
        UnavailableError: It is damaged, or can't be read.
    """
    values = read_json(path)
    try:
        return {key: Entry.from_dict(one) for key, one in values.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise UnavailableError(f"{path} is damaged: {err!r}.") from err
