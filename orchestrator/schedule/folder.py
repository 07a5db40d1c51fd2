"""Every path below a storage's folder of schedules."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import UsageError
from orchestrator.storage.storage import Storage, check_name


@dataclass(frozen=True, kw_only=True)
class ScheduleFolder:
    """Every path of one schedule."""

    #: The schedule's own folder.
    path: Path

    @property
    def definition(self) -> Path:
        """What runs, and when."""
        return self.path / "schedule.json"

    def end(self, run_id: str) -> str:
        """Return the file that tells how a tick ended; it is there when it has.

        A text: a loop with thousands of schedules asks for thousands at once.
        """
        return f"{self.path}/ends/{run_id}.json"

    def attempts(self, run_id: str) -> Path:
        """Return the file that counts how often a tick's run was started or taken up.

        Whoever looks after the run holds it locked as long as it lives.
        """
        return self.path / "attempts" / f"{run_id}.json"

    def log(self, run_id: str) -> Path:
        """Return the file of what a tick's run said to the terminal that it doesn't have."""
        return self.path / "logs" / f"{run_id}.log"

    @property
    def run_lock(self) -> Path:
        """File that keeps two runs apart where another scheduler fires them."""
        return self.path / "run.lock"


@dataclass(frozen=True, kw_only=True)
class SchedulesFolder:
    """Every path that all schedules share."""

    #: The folder.
    path: Path

    @classmethod
    def of(cls, storage: Storage) -> SchedulesFolder:
        """Return that of a storage.

        Raises:
            UsageError: The storage is one of objects: loops of several machines share a folder.
        """
        if storage.objects is not None:
            raise UsageError(
                f"Schedules can't be kept in {storage}.", hint="Name a folder (--storage)."
            )
        return cls(path=storage.path / "schedules")

    @property
    def mark(self) -> Path:
        """File that changes whenever a schedule does."""
        return self.path / ".changed"

    def record(self, number: int) -> Path:
        """Return the file of a record of what became of ticks."""
        return self.path / ".log" / f"{number:010d}.json"

    @property
    def note(self) -> Path:
        """File that tells where the last record of each schedule is."""
        return self.path / ".log" / ".last.json"

    def health(self, host: str) -> Path:
        """Return the file in which the loop of a host says how it is."""
        return self.path / ".loops" / f"{host}.json"

    def schedule(self, name: str) -> ScheduleFolder:
        """Return the folder of a schedule, which may not exist."""
        return ScheduleFolder(path=self.path / check_name(name, what="schedule"))
