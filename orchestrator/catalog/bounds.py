"""Bounds of a number, as annotated-types writes them: Ge, Gt, Le, Lt and Interval."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

#: How each bound is checked, and said. Names are those that annotated-types has for its values.
_CHECKS: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
    "ge": (operator.ge, "at least"),
    "gt": (operator.gt, "more than"),
    "le": (operator.le, "at most"),
    "lt": (operator.lt, "less than"),
}


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a number has to keep to; None: nothing.

    Raises:
        ValueError: A bound isn't a number, or one side has two.
    """

    #: The least it may be.
    ge: int | float | None = None
    #: What it has to be more than.
    gt: int | float | None = None
    #: The most it may be.
    le: int | float | None = None
    #: What it has to be less than.
    lt: int | float | None = None

    def __post_init__(self) -> None:
        for limit in self.given().values():
            # A bool and a string would compare, but mean something else.
            if type(limit) not in (int, float):
                raise ValueError(f"{limit!r} is no bound of a number")
        if {"ge", "gt"} <= self.given().keys() or {"le", "lt"} <= self.given().keys():
            raise ValueError("one side has two bounds")

    @classmethod
    def of(cls, notes: Iterable[object]) -> Bounds:
        """Return the bounds among the notes of an `Annotated` type.

        Raises:
            ValueError: A bound isn't a number, or one side has two, or there is a condition of
                another kind: it would be believed, and not be checked.
        """
        from annotated_types import Ge, Gt, Le, Lt

        found: dict[str, Any] = {}
        for note in _conditions(notes):
            if not isinstance(note, Ge | Gt | Le | Lt):
                raise ValueError(f"{note} can't be checked; Ge, Gt, Le, Lt and Interval can")
            bound = asdict(note)
            if bound.keys() & found.keys():
                raise ValueError("one side has two bounds")
            found |= bound
        return cls(**found)

    def given(self) -> dict[str, int | float]:
        """Return the bounds that there are, by name."""
        return {name: limit for name, limit in asdict(self).items() if limit is not None}

    def allow(self, value: object) -> bool:
        """Say whether a number keeps to them; NaN keeps to none."""
        return all(_CHECKS[name][0](value, limit) for name, limit in self.given().items())

    def __str__(self) -> str:
        return " and ".join(f"{_CHECKS[name][1]} {limit}" for name, limit in self.given().items())


def _conditions(notes: Iterable[object]) -> Iterator[object]:
    """Yield annotated-types' conditions, those that are grouped one by one."""
    from annotated_types import BaseMetadata, GroupedMetadata

    for note in notes:
        if isinstance(note, GroupedMetadata):
            yield from _conditions(note)
        elif isinstance(note, BaseMetadata):
            yield note
