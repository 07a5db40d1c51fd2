"""The schedules of a storage: a folder each, and one mark that changes when any of them does."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from orchestrator.errors import LaunchJobError, UsageError
from orchestrator.schedule.definition import Schedule
from orchestrator.schedule.ending import Endings
from orchestrator.schedule.folder import ScheduleFolder, SchedulesFolder
from orchestrator.schedule.log import Log
from orchestrator.storage.atomic import read_json, storage_errors, write_atomic, write_json
from orchestrator.storage.storage import Storage


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """Reads and writes the schedules of one storage."""

    #: The storage.
    storage: Storage

    def names(self) -> list[str]:
        """Return the names of all schedules, sorted."""
        folder = SchedulesFolder.of(self.storage).path
        with storage_errors(folder), contextlib.suppress(FileNotFoundError):
            # A path for each name would cost ten times as much.
            names = os.listdir(folder)  # noqa: PTH208
            return sorted(name for name in names if name[0] != ".")
        return []

    def read(self, name: str) -> Schedule:
        """Return a schedule.

        Raises:
            UsageError: There is none of that name, or its file is wrong.
            UnavailableError: Its file can't be read.
        """
        path = self._folder(name).definition
        if not path.is_file():
            near = difflib.get_close_matches(name, self.names(), n=1)
            raise UsageError(
                f"There is no schedule {name!r} in {self.storage.path}.",
                hint=f"Did you mean {near[0]!r}?" if near else "`launch-job schedule ls` tells.",
            )
        values = read_json(path)
        if not isinstance(values, dict):
            raise UsageError(f"{path} is no schedule.")
        return Schedule.from_dict(values, where=str(path))

    def version(self, name: str) -> tuple[int, int] | None:
        """Return what differs whenever a schedule has been written anew; None if it is gone."""
        try:
            found = self._folder(name).definition.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_ino

    def endings(self, name: str) -> Endings:
        """Return how the fired ticks of a schedule ended."""
        return Endings(folder=self._folder(name))

    def log(self) -> Log:
        """Return the log of all schedules, read.

        Raises:
            UnavailableError: It is damaged, or can't be read.
        """
        log = Log(self.storage)
        log.read_on()
        return log

    def add(self, schedule: Schedule) -> None:
        """Write a new schedule.

        Raises:
            UsageError: There is one of that name.
            UnavailableError: The storage can't be written.
        """
        self.storage.check_writable()
        if self._folder(schedule.name).definition.exists():
            raise UsageError(
                f"There is a schedule {schedule.name!r} already.",
                hint=f"`launch-job schedule rm {schedule.name}` removes it; a schedules.yaml "
                "changes it (`launch-job schedule apply`).",
            )
        self.write(schedule)

    def write(self, schedule: Schedule) -> None:
        """Write a schedule, new or changed.

        Raises:
            UnavailableError: The storage can't be written.
        """
        folder = self._folder(schedule.name)
        write_json(folder.definition, schedule.to_dict())
        self._mark()

    def pause(self, name: str, *, at: datetime | None) -> bool:
        """Pause a schedule, or let it go on.

        Args:
            name: Its name.
            at: Since when it is paused; None: it goes on.

        Returns:
            Whether that changed anything.

        Raises:
            UsageError: There is none of that name.
            UnavailableError: The storage can't be written.
        """
        schedule = self.read(name)
        if (schedule.paused_at is None) == (at is None):
            return False
        self.write(dataclasses.replace(schedule, paused_at=at))
        return True

    def remove(self, name: str) -> None:
        """Remove a schedule and its history; its runs stay.

        Raises:
            UsageError: There is none of that name.
            UnavailableError: The storage can't be written.
        """
        folder = self._folder(name)
        with storage_errors(folder.path):
            try:
                folder.definition.unlink()
            except FileNotFoundError:
                self.read(name)
            self._mark()
            # A loop or a run that is just ending may still write here.
            shutil.rmtree(folder.path, ignore_errors=True)

    def mark(self) -> str:
        """Return what differs whenever any schedule has changed.

        Raises:
            UnavailableError: The storage can't be read.
        """
        path = SchedulesFolder.of(self.storage).mark
        with storage_errors(path):
            try:
                return path.read_text()
            except FileNotFoundError:
                return ""

    def _mark(self) -> None:
        write_atomic(SchedulesFolder.of(self.storage).mark, secrets.token_hex(8))

    def _folder(self, name: str) -> ScheduleFolder:
        return SchedulesFolder.of(self.storage).schedule(name)

    def readable(self) -> Iterator[Schedule | LaunchJobError]:
        """Yield every schedule, or what is wrong with its file, by name."""
        for name in self.names():
            try:
                yield self.read(name)
            except LaunchJobError as err:
                if self.version(name) is not None:
                    yield err
