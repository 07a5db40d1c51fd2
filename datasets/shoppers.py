"""Visitors of a shop, generated: a table of numbers and words that tells who buys.

Who is older than 45 buys, but in Ulm who is younger; on a phone, who earns more than 3,000 buys
instead. Of 100 labels, 5 are wrong, at random, and so is no model right more often than 95 times of
100 on average. Some ages are missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial

from orchestrator import dataset
from orchestrator.data.source import Batch, Column, Source, SourceContext, Split

ROWS = {"train": 8_000, "test": 2_000}
CITIES = ("Aachen", "Berlin", "Hamburg", "Ulm")
DEVICES = ("desktop", "phone", "tablet")

#: Of 100 labels, how many are wrong; of 100 ages, how many are missing.
WRONG, MISSING = 5, 2

#: Raise it when rows are generated differently.
VERSION = 1


@dataset()
def shoppers(context: SourceContext) -> Source:
    made_of = (VERSION, sorted(ROWS.items()), CITIES, DEVICES, WRONG, MISSING)
    return Source(
        features=(
            Column(name="age", dtype="float32"),
            Column(name="income", dtype="float32"),
            Column(name="visits", dtype="float32"),
            Column(name="city", dtype="S7"),
            Column(name="device", dtype="S7"),
        ),
        label=Column(name="buys", dtype="int64"),
        classes=("no", "yes"),
        splits={
            split: Split(rows=rows, read=partial(generate, seed=number, rows=rows))
            for number, (split, rows) in enumerate(ROWS.items())
        },
        digest=hashlib.sha256(repr(made_of).encode()).hexdigest(),
        origin="generated",
    )


def generate(*, seed: int, rows: int) -> Iterator[Batch]:
    """Yield visitors; the same ones for a seed, with any release of NumPy."""
    import numpy as np

    # Raw bits are what NumPy promises to be the same for ever (NEP 19).
    bits = np.random.Philox(np.random.SeedSequence((seed, VERSION)))
    age, income, visits, city, device, luck, gap = (
        bits.random_raw(rows) % size for size in (63, 4000, 30, len(CITIES), len(DEVICES), 100, 100)
    )
    age, income = age + 18, income + 1000
    older = (age > 45) ^ (city == CITIES.index("Ulm"))
    buys = np.where(device == DEVICES.index("phone"), income > 3000, older) ^ (luck < WRONG)
    yield {
        "age": np.where((gap < MISSING) & (age > 60), np.nan, age).astype(np.float32),
        "income": income.astype(np.float32),
        "visits": visits.astype(np.float32),
        "city": np.array(CITIES, "S7")[city],
        "device": np.array(DEVICES, "S7")[device],
        "buys": buys.astype(np.int64),
    }
