"""Batch size: rows/s of `lstm-mnist` on two workers, by the rows of a global batch.

Keras's `fit` in one process stands beside it. A value is the median rows/s of the epochs after the
first.
"""

from __future__ import annotations

import sys

from harness import Comparison, Question, options, report, take_turns
from harness.figures import lines
from harness.trainers import ours, peer, rows_per_s

SIZES = (32, 64, 128, 256, 512, 1024)
OURS, FIT = "launch-job, 2 workers", "Keras fit"


def named(who: str, size: int) -> str:
    return f"{who}, batches of {size}"


QUESTION = Question(
    name="batch_size",
    title="Which batches pay?",
    unit="rows/s",
    comparisons=tuple(Comparison(ours=named(OURS, size), peer=named(FIT, size)) for size in SIZES),
    method=__doc__,
)


def main() -> int:
    parser = options(__doc__, rounds=5)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    epochs = arguments.epochs
    contestants = {
        named(OURS, size): ours("lstm-mnist", workers=2, epochs=epochs, batch_size=size)
        for size in SIZES
    } | {
        named(FIT, size): peer("keras_fit.py", "--batch-size", str(size), epochs=epochs)
        for size in SIZES
    }
    told = take_turns(contestants, arguments.rounds, warm_up=False)
    values = {who: rows_per_s(runs) for who, runs in told.items()}
    figure = lines(
        title="Rows a second, by rows of a global batch",
        x="rows of a global batch",
        y="rows/s",
        curves={who: {size: values[named(who, size)] for size in SIZES} for who in (OURS, FIT)},
        logarithmic=True,
    )
    return report(QUESTION, values, figure=figure)


if __name__ == "__main__":
    sys.exit(main())
