"""Evaluation: seconds for 10,000 test rows on two workers, against Keras's `evaluate`.

Both have just trained `lstm-mnist` for an epoch and evaluate for the first time: a graph is traced,
as after any training. launch-job counts each row once, in both workers, and gathers a confusion
matrix, calibration and the hardest mistakes besides; Keras's `evaluate` returns loss and accuracy,
in batches of 128 as in training and, at its best, of 1,024.
"""

from __future__ import annotations

import sys

from harness import Comparison, Question, at_most, options, report, take_turns
from harness.trainers import ours, peer

OURS = "launch-job, 2 workers"
KERAS, BEST = "Keras evaluate", "Keras evaluate, batches of 1,024"

QUESTION = Question(
    name="evaluation",
    title="How long does the evaluation take?",
    unit="seconds",
    comparisons=(
        Comparison(ours=OURS, peer=KERAS, target=at_most(0.7)),
        Comparison(ours=OURS, peer=BEST),
    ),
    method=__doc__,
)


def main() -> int:
    rounds = options(__doc__, rounds=5).parse_args().rounds
    contestants = {
        OURS: ours("lstm-mnist", workers=2, epochs=1),
        KERAS: peer("keras_fit.py", epochs=1),
        BEST: peer("keras_fit.py", "--test-batch-size", "1024", epochs=1),
    }
    told = take_turns(contestants, rounds, warm_up=False)
    values = {who: [run["evaluate_s"] for run in told[who]] for who in (KERAS, BEST)}
    spent = [run["phases"] for run in told[OURS]]
    values[OURS] = [phases["copy of the model"] + phases["evaluation"] for phases in spent]
    return report(QUESTION, values)


if __name__ == "__main__":
    sys.exit(main())
