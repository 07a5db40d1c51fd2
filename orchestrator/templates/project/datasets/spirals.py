"""Points on two spirals that wind around each other, generated: on which of them is a point?"""

import hashlib

from orchestrator import dataset
from orchestrator.data.source import Column, Source, SourceContext, in_memory

ROWS = {"train": 4000, "test": 1000}
TURNS = 1.5
NOISE = 0.03


# Jobs name it: `@job(dataset="spirals")`. Rows that come from files are looked for in
# `context.data_dir`, which is what `--data-dir` names.
@dataset()
def spirals(context: SourceContext) -> Source:
    splits = {name: points(seed, rows) for seed, (name, rows) in enumerate(ROWS.items())}
    return Source(
        features=(Column(name="point", dtype="float32", shape=(2,)),),
        label=Column(name="spiral", dtype="int64"),
        classes=("first", "second"),
        # Rows that don't fit into memory are handed over in batches: `Split(rows=…, read=…)`, or
        # `counted(read, …)` where nobody knows how many there are.
        splits={name: in_memory(rows) for name, rows in splits.items()},
        # The dataset is prepared anew whenever this changes.
        digest=hashlib.sha256(
            b"".join(column.tobytes() for rows in splits.values() for column in rows.values())
        ).hexdigest(),
        origin="generated",
    )


def points(seed, rows):
    """Return points, `(rows, 2) float32`, and the spiral of each, `(rows,) int64`."""
    import numpy as np

    random = np.random.default_rng(seed)
    spiral = random.integers(0, 2, rows)
    radius = np.sqrt(random.uniform(0.01, 1.0, rows))
    angle = 2 * np.pi * TURNS * radius + np.pi * spiral
    point = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    point += random.normal(0.0, NOISE, point.shape)
    return {"point": point.astype(np.float32), "spiral": spiral.astype(np.int64)}
