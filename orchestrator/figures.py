"""Numbers and times as people read them, on the terminal and on pages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


def duration(seconds: float) -> str:
    """Return seconds as people say them: `8.4 s`, `3 m 20 s`, `2 h 05 m`."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} m"


def ago(then: datetime, now: datetime | None = None) -> str:
    """Return how long ago something was: `5 min ago`, or its date after a week."""
    seconds = ((now or datetime.now(UTC)) - then).total_seconds()
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit} ago" if unit != "d" or count < 8 else then.date().isoformat()
    return "just now"


def percent(part: float | None) -> str:
    """Return a part as a percentage, or a dash."""
    return "–" if part is None else f"{100 * part:.2f}%"


def fixed(value: Any, digits: int = 4) -> str:
    """Return a number with a fixed number of digits, or a dash."""
    return "–" if value is None else f"{value:.{digits}f}"


def whole(value: float | None) -> str:
    """Return a number without digits behind the point: `12,345`; or a dash."""
    return "–" if value is None else f"{value:,.0f}"
