"""Scaling: rows/s of `lstm-mnist` on one to four workers of this machine.

One machine's cores are all there is, so more workers than cores can't be faster: the question is
what a worker more costs. MWMS by hand stands beside it at its best, where a batch can be shared
equally. A value is the median rows/s of the epochs after the first.
"""

from __future__ import annotations

import sys

from harness import Comparison, Question, options, report, take_turns
from harness.figures import lines
from harness.trainers import MWMS_FASTEST, ours, peer, rows_per_s

OURS, MWMS = "launch-job", "MWMS by hand"
#: Numbers of workers. A global batch of 128 rows has no third, which only the peer minds.
WORKERS = {OURS: (1, 2, 3, 4), MWMS: (1, 2, 4)}


def named(who: str, workers: int) -> str:
    return f"{who}, {workers} worker{'s' if workers > 1 else ''}"


QUESTION = Question(
    name="scaling",
    title="What does each further worker bring?",
    unit="rows/s",
    comparisons=tuple(
        Comparison(ours=named(OURS, workers), peer=named(OURS, 1)) for workers in WORKERS[OURS][1:]
    ),
    method=__doc__,
)


def main() -> int:
    parser = options(__doc__, rounds=5)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    epochs = arguments.epochs
    contestants = {
        named(OURS, n): ours("lstm-mnist", workers=n, epochs=epochs) for n in WORKERS[OURS]
    } | {
        named(MWMS, n): peer("mwms_script.py", *MWMS_FASTEST, "--workers", str(n), epochs=epochs)
        for n in WORKERS[MWMS]
    }
    told = take_turns(contestants, arguments.rounds, warm_up=False)
    values = {who: rows_per_s(runs) for who, runs in told.items()}
    figure = lines(
        title="Rows a second, by workers on one machine",
        x="workers",
        y="rows/s",
        curves={who: {n: values[named(who, n)] for n in WORKERS[who]} for who in WORKERS},
    )
    return report(QUESTION, values, figure=figure)


if __name__ == "__main__":
    sys.exit(main())
