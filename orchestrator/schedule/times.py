"""When a schedule is due: cron lines and intervals, as moments in UTC.

A *tick* is such a moment. Cron lines are computed by cronsim, which keeps to Debian's rules on days
that change the clock. A line that names its hour runs once on each of its days: at the end of the
gap if its time is left out, the first time if it comes twice. A line whose minute or hour begins
with a star goes by the hours that pass, so that "every 10 minutes" is that on these days too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from orchestrator.errors import UsageError

#: Short names of cron lines.
ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

_PART = re.compile(r"(\d+)([smhdw])")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

_SECOND = timedelta(seconds=1)

#: An interval can't be longer: further than that, dates end.
_LONGEST_S = 10 * 366 * 86400


@dataclass(frozen=True, kw_only=True)
class Cron:
    """Times of a cron line in a time zone.

    Raises:
        UsageError: The line can't be, never comes, or the zone is unknown.
    """

    #: Five fields, or an alias such as `@daily`.
    line: str
    #: Name of the time zone, such as `Europe/Berlin`.
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        find_zone(self.timezone)
        if len(self.fields.split()) != 5:
            raise UsageError(
                f"{self.line!r} is no cron line: it needs five fields.",
                hint="Minute, hour, day of the month, month and weekday, as in '0 2 * * *'; or "
                f"one of {', '.join(ALIASES)}. For seconds, use --every.",
            )
        try:
            next(self.after(datetime(2026, 1, 1, tzinfo=UTC)))
        except CronSimError as err:
            raise UsageError(
                f"{self.line!r} is no cron line: {str(err).lower()}.",
                hint="Minute, hour, day of the month, month and weekday, as in '0 2 * * *'.",
            ) from err
        except StopIteration as err:
            raise UsageError(f"{self.line!r} never comes: there is no such day.") from err

    @property
    def fields(self) -> str:
        """The five fields."""
        return ALIASES.get(self.line.strip().lower(), self.line.strip())

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the ticks after a moment, in UTC, without end."""
        zone, moment = find_zone(self.timezone), moment.astimezone(UTC).replace(microsecond=0)
        if any(field.startswith("*") for field in self.fields.split()[:2]):
            yield from self._going_by_hours_that_pass(moment, zone)
        else:
            for local in CronSim(self.fields, moment.astimezone(zone)):
                yield local.astimezone(UTC)

    def _going_by_hours_that_pass(self, moment: datetime, zone: ZoneInfo) -> Iterator[datetime]:
        """Yield the ticks of a line with a star, for each stretch of the zone's time by itself.

        cronsim would take whole hours across the change of a clock, and so leave out times where
        the clock moves by half an hour (2.8, Australia/Lord_Howe).
        """
        offset = _offset(zone, moment)
        while True:
            for local in CronSim(self.fields, moment.replace(tzinfo=None) + offset):
                tick = (local - offset).replace(tzinfo=UTC)
                change = _first_change(zone, offset, moment, tick)
                if change is not None:
                    break
                yield tick
                moment = tick
            else:
                return
            moment, offset = change - _SECOND, _offset(zone, change)


@dataclass(frozen=True, kw_only=True)
class Every:
    """Times at equal intervals, whatever the clocks on walls do.

    Raises:
        UsageError: The interval can't be.
    """

    #: Seconds between ticks.
    seconds: int
    #: A tick; the others are whole intervals away from it.
    anchor: datetime

    def __post_init__(self) -> None:
        if not 1 <= self.seconds <= _LONGEST_S:
            raise UsageError("An interval is between a second and ten years long.")

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the ticks after a moment, in UTC, without end."""
        step = timedelta(seconds=self.seconds)
        tick = self.anchor + (moment - self.anchor) // step * step
        while True:
            tick += step
            yield tick.astimezone(UTC)


def _first_change(
    zone: ZoneInfo, offset: timedelta, after: datetime, until: datetime
) -> datetime | None:
    """Return when a zone has another offset for the first time, up to a moment.

    Args:
        zone: The zone.
        offset: What it has had so far.
        after: From when on, in UTC.
        until: Up to when, in UTC; None is returned if it still has the offset then, and a day
            after `after`. That is enough: times are there twice only within a day of a change.
    """
    for probe in (min(after + timedelta(days=1), until), until):
        if _offset(zone, probe) != offset:
            low, high = after, probe
            while high - low > _SECOND:
                middle = low + (high - low) // _SECOND // 2 * _SECOND
                low, high = (middle, high) if _offset(zone, middle) == offset else (low, middle)
            return high
    return None


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def parse_interval(text: str, *, what: str) -> int:
    """Return the seconds of an interval such as `90s`, `6h` or `1h30m`.

    Raises:
        UsageError: It is none.
    """
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise UsageError(f"{what} can't be {text!r}.", hint="Use 90s, 30m, 6h, 1d, 2w or 1h30m.")
    return sum(int(number) * _UNIT_S[unit] for number, unit in parts)


def interval_text(seconds: int) -> str:
    """Return an interval as `parse_interval` reads it."""
    text = ""
    for unit, size in reversed(_UNIT_S.items()):
        if unit != "w" or seconds % size == 0:
            count, seconds = divmod(seconds, size)
            text += f"{count}{unit}" if count else ""
    return text or "0s"


@cache
def find_zone(name: str) -> ZoneInfo:
    """Return a time zone.

    Raises:
        UsageError: There is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError) as err:
        raise UsageError(
            f"There is no time zone {name!r}.", hint="Name one as in Europe/Berlin, or UTC."
        ) from err
