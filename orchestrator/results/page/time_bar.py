"""The time of a run as one bar: what it was spent on, from the command to the record.

Phases of a time line overlap: several processes work at once, and workers are on their way while
data is prepared. At each moment the bar shows the one thing that the run was there for.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

#: Phases of a time line by what they are for; what is named first covers what is named later.
#: All others are steps of starting, or of ending once training is over.
_KINDS = {
    "training": "train",
    "first step": "train",
    "evaluation": "evaluate",
    "copy of the model": "evaluate",
    "saving": "evaluate",
    "data": "prepare",
    "queue": "queue",
    "submit": "queue",
}

#: What a bar may show, in the order of its legend.
KINDS = ("queue", "prepare", "start", "train", "evaluate", "other")


@dataclass(frozen=True, kw_only=True)
class Span:
    """A stretch of the bar."""

    #: What the time was spent on: one of `KINDS`.
    kind: str
    #: How long.
    seconds: float


def time_bar(timeline: Sequence[Mapping[str, Any]], wall_s: float) -> list[Span]:
    """Return a run's time, cut into what it was spent on, in the order in which it was.

    Args:
        timeline: Phases, as a report has them: phase, after_s, seconds.
        wall_s: How long the run took, for one whose report tells no phases.
    """
    phases = [(p["after_s"], p["after_s"] + p["seconds"], p["phase"]) for p in timeline]
    if not phases:
        return [Span(kind="other", seconds=wall_s)]
    trained = max((end for _, end, name in phases if _KINDS.get(name) == "train"), default=None)
    cuts = sorted({0.0, *(at for begin, end, _ in phases for at in (begin, end))})
    spans: list[Span] = []
    for begin, end in itertools.pairwise(cuts):
        active = {name for first, last, name in phases if first <= begin and end <= last}
        rest = "start" if trained is None or begin < trained else "other"
        kind = next((kind for name, kind in _KINDS.items() if name in active), rest)
        if spans and spans[-1].kind == kind:
            spans[-1] = replace(spans[-1], seconds=spans[-1].seconds + end - begin)
        else:
            spans.append(Span(kind=kind, seconds=end - begin))
    return spans


def totals(spans: Sequence[Span]) -> dict[str, float]:
    """Return how much time was spent on each thing, in the order of `KINDS`."""
    return {kind: sum(s.seconds for s in spans if s.kind == kind) for kind in KINDS}
