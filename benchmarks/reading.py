"""Reading: rows/s that one of two workers gathers, of many rows against those of 60 thousand.

Both datasets are prepared before anything is measured, and read in the order of an
epoch, as training reads them: at random, from files mapped into memory. So what counts is that of
rows which the system has in its memory; `--rows 10000000` needs 8 GB of it, and of disk.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from harness import PEERS, ROOT, Comparison, Question, at_least, options, report, take_turns

sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(PEERS))

from write_rows import with_launch_job

from orchestrator.data.batches import StepReader
from orchestrator.data.cache import StoredShards
from orchestrator.data.manifest import MANIFEST_FILE, Manifest
from orchestrator.data.plan import TrainingPlan

FEW = 60_000
#: Rows that are gathered a round, from the beginning of an epoch on; of few rows, several times.
GATHERED = 600_000
#: Steps that are read together, as in training.
STEPS = 8


def main() -> int:
    parser = options(__doc__, rounds=7)
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    many, few = f"of {arguments.rows:,} rows", f"of {FEW:,} rows"
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        readers = {}
        for who, rows in ((many, arguments.rows), (few, FEW)):
            with_launch_job(rows, Path(name) / str(rows))
            (manifest,) = (Path(name) / str(rows)).rglob(MANIFEST_FILE)
            readers[who] = reader(manifest.parent)
        values = take_turns(
            {who: partial(rows_per_s, reader) for who, reader in readers.items()}, arguments.rounds
        )
    question = Question(
        name="reading",
        title="Are many rows read as fast as few?",
        unit="rows/s",
        comparisons=(Comparison(ours=many, peer=few, target=at_least(0.8)),),
        method=__doc__,
    )
    return report(question, values)


def reader(folder: Path) -> StepReader:
    manifest = Manifest.read(folder)
    plan = TrainingPlan(
        rows=manifest.rows("train"),
        streams=manifest.streams,
        workers=2,
        batch_size=128,
        epochs=1 + -(-GATHERED // (manifest.rows("train") // 2)),
    )
    return StepReader(shards=StoredShards(folder, manifest), plan=plan, worker=0, seed=0)


def rows_per_s(reader: StepReader) -> float:
    """Return how fast the worker's rows are gathered; of an order that is known, as in an epoch."""
    plan = reader.plan
    positions = itertools.product(range(plan.epochs), range(0, plan.steps_per_epoch, STEPS))
    columns, began, rows = ("image", "label"), None, 0
    for epoch, first in positions:
        last = min(first + STEPS, plan.steps_per_epoch)
        held = reader.read(epoch=epoch, first=first, last=last, columns=columns)
        if began is None:  # The order of the first epoch's rows was made here.
            began = time.perf_counter()
            continue
        rows += len(held["label"])
        if rows >= GATHERED:
            return rows / (time.perf_counter() - began)
    raise AssertionError("The plan has too few rows.")


if __name__ == "__main__":
    sys.exit(main())
