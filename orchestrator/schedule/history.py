"""What became of each tick of a schedule: a log of numbered files, each of which is made once.

Each record tells the outcomes of the ticks that follow those of the record before it, up to its
own `through`. To add one, a loop makes the file with the next number, which must not be there; if
another loop was faster, it reads that one and decides anew. So however many loops there are, and
whenever they die, the records part time among them, and each tick has exactly one outcome. (Delta
Lake's log works the same way.)

A record is not brought to disk at once, since that costs more than all the rest of a pass. If the
power fails, the last ones may be gone; their ticks are then decided anew, and get the same runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from orchestrator.atomic import read_json, storage_errors, write_json
from orchestrator.errors import UnavailableError
from orchestrator.schedule.decision import Outcome
from orchestrator.states import RunState
from orchestrator.storage import ScheduleFolder


class OvertakenError(Exception):
    """Another loop has recorded something meanwhile: read the log again."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One file of the log; the newest one is all that a loop has to know."""

    #: Its number; 0 stands for a log that has not begun.
    number: int
    #: All ticks up to this are decided.
    through: datetime
    #: Ticks of earlier records that were fired, and whose end nobody had recorded.
    before: tuple[Outcome, ...] = ()
    #: Ticks that were decided, in their order.
    ticks: tuple[Outcome, ...] = ()

    @property
    def open(self) -> tuple[Outcome, ...]:
        """Fired ticks whose end nobody had recorded, oldest first."""
        return (*self.before, *(outcome for outcome in self.ticks if outcome.run_id))

    def to_line(self) -> str:
        """Return it as JSON."""
        values = {
            "through": self.through.isoformat(),
            "before": [outcome.to_dict() for outcome in self.before],
            "ticks": [outcome.to_dict() for outcome in self.ticks],
        }
        return json.dumps(values, ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, file: str) -> Record | None:
        """Read a record; None if a power cut has left an empty file of it.

        Raises:
            UnavailableError: It is damaged, or can't be read.
        """
        path = Path(file)
        with storage_errors(path):
            text = path.read_text()
        if not text.strip("\0"):
            return None
        try:
            values = json.loads(text)
            return cls(
                number=int(path.stem),
                through=datetime.fromisoformat(values["through"]),
                before=tuple(Outcome.from_dict(one) for one in values["before"]),
                ticks=tuple(Outcome.from_dict(one) for one in values["ticks"]),
            )
        except (ValueError, KeyError, TypeError) as err:
            raise UnavailableError(f"{path} is damaged: {err!r}.") from err


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a fired tick ended."""

    #: The state of its run; None if the run never began.
    state: RunState | None
    #: When, in UTC.
    time: datetime
    #: What went wrong, in words; None if nothing did.
    why: str | None
    #: How often its run was started or taken up.
    attempts: int
    #: What came of telling about it: a line for each of `--notify`.
    notified: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "state": self.state,
            "time": self.time.isoformat(),
            "why": self.why,
            "attempts": self.attempts,
            "notified": list(self.notified),
        }


@dataclass(frozen=True, kw_only=True)
class History:
    """The log of one schedule, and how its fired ticks ended."""

    #: Where it is.
    folder: ScheduleFolder

    def tail(self, *, since: datetime) -> Record:
        """Return the newest record; one of number 0 and that time if there is none.

        Raises:
            UnavailableError: It is damaged, or can't be read.
        """
        for number in sorted(self._numbers(), reverse=True):
            record = Record.read(self.folder.record(number))
            if record is not None:
                return record
            Path(self.folder.record(number)).unlink(missing_ok=True)
        return Record(number=0, through=since)

    def following(self, last: Record) -> Record:
        """Return the newest record, where one that was the newest is known.

        Raises:
            UnavailableError: It is damaged, or can't be read.
        """
        while os.path.exists(file := self.folder.record(last.number + 1)):  # noqa: PTH110
            newer = Record.read(file)
            if newer is None:
                return self.tail(since=last.through)
            last = newer
        return last

    def append(
        self,
        last: Record,
        outcomes: Sequence[Outcome],
        *,
        through: datetime,
        active: Sequence[Outcome],
    ) -> Record:
        """Add a record.

        Args:
            last: The newest record, as far as the caller knows.
            outcomes: What was decided, by what that record says.
            through: The last tick of which something was decided.
            active: Ticks that were fired before, and have not ended.

        Returns:
            The new record.

        Raises:
            OvertakenError: There is a newer record than `last`.
            UnavailableError: The storage can't be written.
        """
        record = Record(
            number=last.number + 1,
            through=through,
            before=tuple(active),
            ticks=tuple(outcomes),
        )
        self._make(record)
        return record

    def _make(self, record: Record) -> None:
        """Make a record's file with all that is in it, unless there is one of that number."""
        file = self.folder.record(record.number)
        # A name that comes again would be dangerous: a loop that is killed between the next two
        # steps leaves it as another name of the record.
        temporary = f"{self.folder.path}/history/.{secrets.token_hex(8)}"
        with storage_errors(self.folder.path):
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            try:
                _write(handle, record.to_line().encode())
                os.link(temporary, file)
            except FileExistsError as err:
                raise OvertakenError from err
            finally:
                os.close(handle)
                os.unlink(temporary)

    def records(self) -> Iterator[Record]:
        """Yield all records, newest first.

        Raises:
            UnavailableError: One is damaged, or can't be read.
        """
        for number in sorted(self._numbers(), reverse=True):
            if record := Record.read(self.folder.record(number)):
                yield record

    def ended(self, outcome: Outcome) -> bool:
        """Return whether a fired tick's end is recorded."""
        return os.path.exists(self._end(outcome))  # noqa: PTH110 - see ScheduleFolder.record

    def end(self, outcome: Outcome, ending: Ending) -> None:
        """Record how a fired tick ended, unless its schedule has been removed.

        Raises:
            UnavailableError: The storage can't be written.
        """
        if self.folder.definition.exists():
            write_json(Path(self._end(outcome)), ending.to_dict())

    def ending(self, outcome: Outcome) -> Ending | None:
        """Return how a fired tick ended; None if nobody has recorded that yet.

        Raises:
            UnavailableError: It is damaged, or can't be read.
        """
        if not self.ended(outcome):
            return None
        values = read_json(Path(self._end(outcome)))
        return Ending(
            state=RunState(values["state"]) if values["state"] else None,
            time=datetime.fromisoformat(values["time"]),
            why=values["why"],
            attempts=values["attempts"],
            notified=tuple(values["notified"]),
        )

    def _end(self, outcome: Outcome) -> str:
        assert outcome.run_id is not None
        return self.folder.end(outcome.run_id)

    def _numbers(self) -> list[int]:
        return [int(name.removesuffix(".json")) for name in list_names(self.folder.history)]


def _write(handle: int, content: bytes) -> None:
    while content:
        content = content[os.write(handle, content) :]


def list_names(folder: Path) -> list[str]:
    """Return the names in a folder, sorted, without hidden ones; none if there is no folder.

    Raises:
        UnavailableError: It can't be read.
    """
    with storage_errors(folder), contextlib.suppress(FileNotFoundError):
        # A path for each name would cost ten times as much.
        return sorted(name for name in os.listdir(folder) if name[0] != ".")  # noqa: PTH208
    return []
