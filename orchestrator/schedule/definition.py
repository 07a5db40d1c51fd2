"""Schedule: what runs, when, and what becomes of ticks that come late or too soon."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, pairwise, takewhile
from typing import Any, Literal, get_args

from orchestrator.errors import UsageError
from orchestrator.schedule.times import Cron, Every, find_zone, interval_text
from orchestrator.storage.storage import check_name

#: What becomes of a tick while a run of the schedule goes on: it is left out; it waits for its
#: turn; that run is stopped for it; both run.
Overlap = Literal["skip", "queue", "replace", "allow"]

#: Which ticks are made up for that nobody fired in time: none, the latest, all.
Misfire = Literal["skip", "latest", "all"]

#: Most ticks that `--catchup-limit` can have made up for.
MOST_MADE_UP = 500

#: How many gaps between ticks `--jitter` is held against.
_GAPS = 100


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """One schedule, as it was asked for.

    Raises:
        UsageError: A value can't be.
    """

    #: Name.
    name: str
    #: Name of the job.
    job: str
    #: Options of its runs, as on the command line.
    args: tuple[str, ...] = ()
    #: Cron line; None if `every_s` says when.
    cron: str | None = None
    #: Seconds between ticks; None if `cron` says when.
    every_s: int | None = None
    #: Time zone that `cron` is meant in.
    timezone: str = "UTC"
    #: No tick is before this.
    start: datetime | None = None
    #: No tick is after this.
    end: datetime | None = None
    #: A tick fires up to so many seconds late; how late follows from schedule and tick.
    jitter_s: int = 0
    #: What becomes of a tick while a run goes on.
    overlap: Overlap = "skip"
    #: Which ticks are made up for that nobody fired in time.
    misfire: Misfire = "latest"
    #: Most ticks that are made up for, and most that wait.
    catchup_limit: int = 10
    #: How often a run is taken up again whose process was killed, or that had no cluster or data.
    retries: int = 3
    #: Who is told how a tick's run ended: addresses that get a POST, or commands.
    notify: tuple[str, ...] = ()
    #: Whether `cluster up` goes before each run.
    cluster_up: bool = False
    #: Whether `cluster down` follows each run.
    cluster_down: bool = False
    #: Folder that runs are started in: that of the project.
    folder: str
    #: File that it was applied from; None: it was added by hand.
    source: str | None = None
    #: What the log knows it by: its name, and what a later one of that name has not.
    key: str
    #: When it was made, or its times were changed, in UTC; ticks come after it.
    since: datetime
    #: Since when it is paused; None: it isn't.
    paused_at: datetime | None = None

    def __post_init__(self) -> None:
        check_name(self.name, what="schedule")
        if (self.cron is None) == (self.every_s is None):
            raise UsageError(
                f"Schedule {self.name} needs either --cron or --every.",
                hint="Such as --cron '0 2 * * *', --cron @daily or --every 6h.",
            )
        for option, values in (("overlap", Overlap), ("misfire", Misfire)):
            if getattr(self, option) not in get_args(values):
                raise UsageError(f"--{option} is one of {', '.join(get_args(values))}.")
        if self.catchup_limit < 1 or self.retries < 0 or self.jitter_s < 0:
            raise UsageError("--catchup-limit is at least 1, --retries and --jitter at least 0.")
        if self.catchup_limit > MOST_MADE_UP:
            raise UsageError(f"--catchup-limit is at most {MOST_MADE_UP}.")
        if self.start and self.end and self.end < self.start:
            raise UsageError(f"--end {self.end} is before --start {self.start}.")
        if self.cluster_down and self.overlap == "allow":
            raise UsageError(
                "--cluster-down would end the other runs that --overlap allow permits.",
                hint="Use --overlap queue.",
            )
        self._check_ticks()

    @property
    def times(self) -> Cron | Every:
        """When it is due, but for start and end."""
        if self.cron is not None:
            return Cron(line=self.cron, timezone=self.timezone)
        assert self.every_s is not None
        find_zone(self.timezone)
        return Every(seconds=self.every_s, anchor=self.start or self.since)

    @property
    def when(self) -> str:
        """When it is due, in words."""
        if self.every_s is not None:
            return f"every {interval_text(self.every_s)}"
        return f"{self.cron} {self.timezone}"

    def ticks(self, after: datetime) -> Iterator[datetime]:
        """Yield the ticks after a moment, in UTC, from start to end."""
        before_start = self.start - timedelta(seconds=1) if self.start else after
        end = self.end
        found = self.times.after(max(after, before_start))
        return found if end is None else takewhile(lambda tick: tick <= end, found)

    def fires_at(self, tick: datetime) -> datetime:
        """Return when a tick is fired: at its time, or up to the jitter later."""
        if not self.jitter_s:
            return tick
        share = int(self._digest(tick)[:8], 16) / 2**32
        return tick + timedelta(seconds=self.jitter_s * share)

    def run_id(self, tick: datetime) -> str:
        """Return the identifier of a tick's run: the same whoever asks."""
        return f"{tick:%Y%m%d-%H%M%S}-{self.name[:40]}-{self._digest(tick)[:6]}"

    def _digest(self, tick: datetime) -> str:
        return hashlib.sha256(f"{self.name} {tick.isoformat()}".encode()).hexdigest()

    def _check_ticks(self) -> None:
        """Refuse times that never come, and a jitter by which ticks could overtake one another."""
        ticks = list(islice(self.ticks(self.since), _GAPS if self.jitter_s else 1))
        if not ticks:
            raise UsageError(f"Schedule {self.name} has no tick before its end, {self.end}.")
        least = min(((b - a).total_seconds() for a, b in pairwise(ticks)), default=None)
        if least is not None and self.jitter_s >= least:
            raise UsageError(
                f"--jitter {interval_text(self.jitter_s)} is no shorter than the "
                f"{interval_text(int(least))} between two ticks."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        values = dataclasses.asdict(self)
        for key, value in values.items():
            if isinstance(value, tuple):
                values[key] = list(value)
            elif isinstance(value, datetime):
                values[key] = value.isoformat()
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, where: str) -> Schedule:
        """Build it from JSON values.

        Args:
            values: What `to_dict` returned.
            where: File the values come from, for messages.

        Raises:
            UsageError: A key is unknown or missing, or its value can't be.
        """
        given = dict(values)
        try:
            for key in ("args", "notify"):
                given[key] = tuple(given.get(key, ()))
            for key in ("start", "end", "since", "paused_at"):
                if given.get(key) is not None:
                    given[key] = datetime.fromisoformat(given[key])
            return cls(**given)
        except (TypeError, ValueError) as err:
            raise UsageError(f"{where} is no schedule: {err}.") from err
        except UsageError as err:
            raise UsageError(f"{where}: {err.message}", hint=err.hint) from err
