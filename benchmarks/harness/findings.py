"""What a benchmark asks, and what it found: kept as JSON beside the figures of the page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.machine import describe_machine
from harness.turns import Spread, compare

FINDINGS = Path(__file__).resolve().parents[2] / "docs" / "performance"

#: Rounds that a finding has to have to be kept: a median of fewer says too little.
KEPT_ROUNDS = 5


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the median of the rounds' ratios has to reach."""

    #: The bound.
    bound: float
    #: Whether more is better; otherwise less is.
    at_least: bool

    def met(self, ratio: float) -> bool:
        """Return whether a median keeps the bound."""
        return ratio >= self.bound if self.at_least else ratio <= self.bound

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.bound:.2f}"


def ratio_text(ratio: float, target: str | None = None) -> str:
    """Return a ratio with two decimals, a small one with two digits that say something.

    Args:
        ratio: The ratio.
        target: What it is held against, as text. A ratio that would only round to it gets as many
            decimals as it takes to see on which side of it it lies.
    """
    text = f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.2g}"
    bound = float(target.split()[-1]) if target else None
    decimals = 3
    while bound == float(text) != ratio:
        text = f"{ratio:.{decimals}f}"
        decimals += 1
    return text


def at_least(bound: float) -> Target:
    """Return a target where more is better."""
    return Target(bound=bound, at_least=True)


def at_most(bound: float) -> Target:
    """Return a target where less is better."""
    return Target(bound=bound, at_least=False)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two contestants, whose ratio counts."""

    #: The one that is divided.
    ours: str
    #: By the other.
    peer: str
    #: What the ratio has to reach; None: it is shown for information.
    target: Target | None = None


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a benchmark asks."""

    #: Name of its file.
    name: str
    #: The question, as the page has it.
    title: str
    #: What values are, such as `rows/s`.
    unit: str
    #: Whom it compares.
    comparisons: Sequence[Comparison]
    #: How it measures: the docstring of its file.
    method: str | None


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What was found, on one machine."""

    #: Name of the benchmark.
    name: str
    #: Its question.
    title: str
    #: What values are.
    unit: str
    #: How it measures.
    method: str
    #: Of each contestant, a value a round.
    values: Mapping[str, Sequence[float]]
    #: ours, peer, ratio (a Spread), target and whether it is met, of each comparison.
    ratios: Sequence[Mapping[str, Any]]
    #: A figure to draw of it (`harness.figures`), or None.
    figure: Mapping[str, Any] | None
    #: Where it was measured, and with what.
    machine: Mapping[str, Any]
    #: When (ISO 8601, UTC).
    time: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @classmethod
    def of(
        cls,
        question: Question,
        values: Mapping[str, Sequence[float]],
        figure: Mapping[str, Any] | None,
    ) -> Finding:
        """Compare the values of contestants as the question says."""
        ratios = []
        for pair in question.comparisons:
            ratio = compare(values[pair.ours], values[pair.peer])
            ratios.append(
                {
                    "ours": pair.ours,
                    "peer": pair.peer,
                    "ratio": asdict(ratio),
                    "target": None if pair.target is None else str(pair.target),
                    "met": None if pair.target is None else pair.target.met(ratio.median),
                }
            )
        return cls(
            name=question.name,
            title=question.title,
            unit=question.unit,
            method=question.method or "",
            values=values,
            ratios=ratios,
            figure=figure,
            machine=describe_machine(),
        )

    @property
    def met(self) -> bool:
        """Whether every target is met."""
        return all(ratio["met"] is not False for ratio in self.ratios)

    @property
    def spreads(self) -> dict[str, Spread]:
        """What the rounds gave, by contestant."""
        return {who: Spread.of(rounds) for who, rounds in self.values.items()}

    @property
    def rounds(self) -> int:
        """Rounds that counted."""
        return min(len(rounds) for rounds in self.values.values())

    def write(self) -> Path:
        """Keep it; return the file."""
        path = FINDINGS / f"{self.name}.json"
        path.write_text(json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n")
        return path

    @classmethod
    def read(cls, path: Path) -> Finding:
        """Read what `write` wrote."""
        return cls(**json.loads(path.read_text()))
