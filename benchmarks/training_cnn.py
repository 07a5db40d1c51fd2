"""Training: rows/s of `cnn-mnist` on two workers, against Keras's `fit`.

The same as `training`, for a model whose step is long: two convolutions and two dense layers.
Keras in one process gives each operation all cores; a worker has one.
"""

from __future__ import annotations

import sys

from harness import Comparison, Question, at_least, options, report, take_turns
from harness.trainers import ours, peer, rows_per_s

OURS = "launch-job, 2 workers"
FIT = "Keras fit"

QUESTION = Question(
    name="training_cnn",
    title="How fast do convolutions train on two cores?",
    unit="rows/s",
    comparisons=(Comparison(ours=OURS, peer=FIT, target=at_least(1.0)),),
    method=__doc__,
)


def main() -> int:
    parser = options(__doc__, rounds=5)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    contestants = {
        OURS: ours("cnn-mnist", workers=2, epochs=arguments.epochs),
        FIT: peer("keras_fit.py", "--model", "cnn", epochs=arguments.epochs),
    }
    told = take_turns(contestants, arguments.rounds, warm_up=False)
    return report(QUESTION, {who: rows_per_s(runs) for who, runs in told.items()})


if __name__ == "__main__":
    sys.exit(main())
