"""Training: rows/s of `lstm-mnist` on two workers, against Keras's `fit` and MWMS by hand.

Everybody trains the same model on the same 60,000 rows, in global batches of 128, on the same
cores. The peers are plain Keras in one process, as a user writes it (`fit` on arrays); the same at
its best (several steps an execution, XLA, and one thread an operation, which is as fast as two and
steadier); and two processes under MultiWorkerMirroredStrategy without Ray, written by hand, with
sixteen steps in one graph whose forward and backward pass XLA compiles, as launch-job has it. For
information, the same with each process kept to a core, which is what launch-job has found to be
faster. A value is the median rows/s of the epochs after the first, which traces.
"""

from __future__ import annotations

import sys

from harness import Comparison, Question, at_least, options, report, take_turns
from harness.trainers import FIT_FASTEST, MWMS_FASTEST, ours, peer, rows_per_s

OURS = "launch-job, 2 workers"
FIT = "Keras fit"
BEST = "Keras fit at its best"
MWMS = "MWMS by hand, 2 processes"
PINNED = "MWMS by hand, a core for each process"

QUESTION = Question(
    name="training",
    title="How fast does an LSTM train on two cores?",
    unit="rows/s",
    comparisons=(
        Comparison(ours=OURS, peer=FIT, target=at_least(1.6)),
        Comparison(ours=OURS, peer=BEST, target=at_least(1.15)),
        Comparison(ours=OURS, peer=MWMS, target=at_least(1.0)),
        Comparison(ours=OURS, peer=PINNED),
    ),
    method=__doc__,
)


def main() -> int:
    parser = options(__doc__, rounds=5)
    parser.add_argument("--epochs", type=int, default=4)
    arguments = parser.parse_args()
    epochs = arguments.epochs
    contestants = {
        OURS: ours("lstm-mnist", workers=2, epochs=epochs),
        FIT: peer("keras_fit.py", epochs=epochs),
        BEST: peer("keras_fit.py", *FIT_FASTEST, epochs=epochs),
        MWMS: peer("mwms_script.py", "--compiled", epochs=epochs),
        PINNED: peer("mwms_script.py", *MWMS_FASTEST, epochs=epochs),
    }
    told = take_turns(contestants, arguments.rounds, warm_up=False)
    return report(QUESTION, {who: rows_per_s(runs) for who, runs in told.items()})


if __name__ == "__main__":
    sys.exit(main())
