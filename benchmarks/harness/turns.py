"""Contestants take turns, and the ratio of a round counts.

Two cores that other work shares give times that drift by half. So contestants run one after the
other in each round, the order turns with every round, and what is judged is the median of the
rounds' ratios: whatever slows a round slows both of its sides.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class Spread:
    """What several rounds gave."""

    #: Half of the rounds gave less.
    median: float
    #: Least of all rounds.
    min: float
    #: Most of all rounds.
    max: float
    #: Number of rounds.
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Summarize values, at least one."""
        return cls(
            median=statistics.median(values), min=min(values), max=max(values), rounds=len(values)
        )


def take_turns(
    contestants: Mapping[str, Callable[[], Value]], rounds: int, *, warm_up: bool = True
) -> dict[str, list[Value]]:
    """Run every contestant once a round; who begins turns with the round.

    Args:
        contestants: What to run, by name.
        rounds: Rounds that count.
        warm_up: Whether to run each once before, uncounted: it compiles bytecode, and brings files
            into memory. Contestants that leave their own beginning out don't need it.

    Returns:
        What each contestant returned, by round.
    """
    names = list(contestants)
    if warm_up:
        for name in names:
            _say(f"warming up: {name}")
            contestants[name]()
    found: dict[str, list[Value]] = {name: [] for name in names}
    for index in range(rounds):
        first = index % len(names)
        for name in names[first:] + names[:first]:
            _say(f"round {index + 1} of {rounds}: {name}")
            found[name].append(contestants[name]())
    return found


def compare(ours: Sequence[float], peer: Sequence[float]) -> Spread:
    """Return the ratios ours / peer, round by round."""
    return Spread.of([a / b for a, b in zip(ours, peer, strict=True)])


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)
