"""Small steps: milliseconds a step at eight workers, against eight processes of MWMS by hand.

The model is so small that a step is next to nothing but the exchange of gradients: what launch-job
adds to TensorFlow's own shows here, if anywhere. Eight workers share the machine's cores on both
sides, and take 16 rows each of a global batch of 128. The peer is `peers/mwms_script.py`, with
sixteen steps in one graph and each process kept to one core. A value is that of the epoch with the
median time, after the first.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from harness import Comparison, Question, at_most, options, report, take_turns
from harness.trainers import ours, peer, rows_per_s

WORKERS = 8
BATCH_SIZE = 128
OURS, MWMS = "launch-job, 8 workers", "MWMS by hand, 8 processes"

QUESTION = Question(
    name="small_steps",
    title="What does launch-job add to a step?",
    unit="ms a step",
    comparisons=(Comparison(ours=OURS, peer=MWMS, target=at_most(1.02)),),
    method=__doc__,
)

#: The peers' tiny model as a job.
JOB = '''
"""A model whose step is next to nothing."""

from orchestrator import job


@job(dataset="mnist", epochs=3, batch_size=128)
def tiny():
    import keras

    return keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
'''


def main() -> int:
    parser = options(__doc__, rounds=5)
    parser.add_argument("--epochs", type=int, default=2)
    arguments = parser.parse_args()
    epochs = arguments.epochs
    size = ("--model", "tiny", "--workers", str(WORKERS), "--pinned")
    contestants = {
        OURS: ours("tiny", workers=WORKERS, epochs=epochs, batch_size=BATCH_SIZE),
        MWMS: peer("mwms_script.py", *size, epochs=epochs),
    }
    with tempfile.TemporaryDirectory() as project:
        (Path(project) / "jobs").mkdir()
        (Path(project) / "cluster.yaml").touch()
        (Path(project) / "jobs" / "tiny.py").write_text(JOB)
        os.chdir(project)
        told = take_turns(contestants, arguments.rounds, warm_up=False)
        os.chdir("/")
    steps_ms = {
        who: [BATCH_SIZE / rate * 1000 for rate in rows_per_s(runs)] for who, runs in told.items()
    }
    return report(QUESTION, steps_ms)


if __name__ == "__main__":
    sys.exit(main())
