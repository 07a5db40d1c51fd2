"""Sequences of 64 steps with 8 features, generated: which of two pulses came first?

Each sequence is noise with one pulse in its first feature and one in its second, at two different
steps. Its class is the feature whose pulse came first; but 5 of 100 labels are wrong, at random. So
no model can be right more often than 95 times of 100 on average, and one that has learned the task
is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from orchestrator import dataset
from orchestrator.data.source import Batch, Column, Source, SourceContext, Split

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEPS, FEATURES = 64, 8
ROWS = {"train": 10_000, "test": 2_000}

#: Of 100 labels, how many are wrong.
WRONG = 5

#: Height of a pulse. Noise is uniform between −0.5 and 0.5.
PULSE = 2.0

#: Raise it when rows are generated differently.
VERSION = 1

_BLOCK_ROWS = 1000


@dataset()
def sequences(context: SourceContext) -> Source:
    made_of = (VERSION, STEPS, FEATURES, sorted(ROWS.items()), WRONG, PULSE)
    return Source(
        features=(Column(name="sequence", dtype="float32", shape=(STEPS, FEATURES)),),
        label=Column(name="label", dtype="int64"),
        classes=("first", "second"),
        splits={
            split: Split(rows=rows, read=partial(generate, seed=number, rows=rows))
            for number, (split, rows) in enumerate(ROWS.items())
        },
        digest=hashlib.sha256(repr(made_of).encode()).hexdigest(),
        origin="generated",
    )


def generate(*, seed: int, rows: int) -> Iterator[Batch]:
    """Yield sequences and labels; the same ones for a seed, with any release of NumPy."""
    import numpy as np

    for first in range(0, rows, _BLOCK_ROWS):
        count = min(_BLOCK_ROWS, rows - first)
        # Raw bits are what NumPy promises to be the same for ever (NEP 19).
        bits = np.random.Philox(np.random.SeedSequence((seed, first)))
        sequence = _between_0_and_1(bits.random_raw(count * STEPS * FEATURES)) - np.float32(0.5)
        sequence = sequence.reshape(count, STEPS, FEATURES)
        at, gap, luck = (bits.random_raw(count) for _ in range(3))
        steps = (at % STEPS, (at % STEPS + 1 + gap % (STEPS - 1)) % STEPS)
        for feature, step in enumerate(steps):
            sequence[np.arange(count), step.astype(np.int64), feature] += np.float32(PULSE)
        label = (steps[1] < steps[0]) ^ (luck % 100 < WRONG)
        yield {"sequence": sequence, "label": label.astype(np.int64)}


def _between_0_and_1(bits: NDArray[Any]) -> NDArray[Any]:
    """Turn 64 bits into the float32 of their first 24, which holds them exactly."""
    import numpy as np

    return (bits >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
