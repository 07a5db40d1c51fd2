"""Checkpoints: what writing them adds to the time of training.

Time is that between the ends of epochs, so that everything a checkpoint holds up is in it. What
writes none is the same job in a project of its own, whose file takes the writing out: launch-job
itself has no way to turn it off.
"""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import datetime
from pathlib import Path

from harness import (
    LAUNCH_JOB,
    ROOT,
    Comparison,
    Question,
    at_most,
    find_mnist,
    options,
    report,
    run_text,
    take_turns,
)

NONE = "no checkpoint"
EPOCH = "each epoch"
STEPS = "each 50 steps"

QUESTION = Question(
    name="checkpoints",
    title="What does writing checkpoints cost?",
    unit="seconds from epoch to epoch",
    comparisons=(
        Comparison(ours=EPOCH, peer=NONE, target=at_most(1.02)),
        Comparison(ours=STEPS, peer=NONE, target=at_most(1.10)),
    ),
    method=__doc__,
)

UNSAVED = """
from orchestrator.training.callbacks import Checkpoints

Checkpoints._checkpoint = lambda *position: None
"""


def main() -> int:
    parser = options(__doc__, rounds=5)
    parser.add_argument("--epochs", type=int, default=4)
    arguments = parser.parse_args()
    data = find_mnist()
    with tempfile.TemporaryDirectory() as folder:
        storage = Path(folder) / "storage"
        contestants = {
            name: lambda every=every, saved=saved: train(
                make_project(Path(folder), saved=saved), storage, data, arguments.epochs, every
            )
            for name, every, saved in (
                (NONE, "epoch", False),
                (EPOCH, "epoch", True),
                (STEPS, "50", True),
            )
        }
        values = take_turns(contestants, arguments.rounds, warm_up=False)
    return report(QUESTION, values)


def make_project(folder: Path, *, saved: bool) -> Path:
    """Make a project whose one job is lstm-mnist, with or without checkpoints."""
    project = folder / ("saved" if saved else "unsaved")
    (project / "jobs").mkdir(parents=True, exist_ok=True)
    (project / "cluster.yaml").touch()
    job = (ROOT / "jobs" / "lstm_mnist.py").read_text()
    (project / "jobs" / "lstm_mnist.py").write_text(job + ("" if saved else UNSAVED))
    return project


def train(project: Path, storage: Path, data: Path, epochs: int, every: str) -> float:
    """Run the job and return the mean seconds from the end of its first epoch to each next one."""
    command = ["lstm-mnist", "--workers", "2", "--epochs", str(epochs + 1)]
    options = ["--checkpoint-every", every, "--data-dir", str(data), "--storage", str(storage)]
    script = "import os, sys; os.chdir(sys.argv[1]); os.execv(sys.argv[2], sys.argv[2:])"
    run_text([sys.executable, "-c", script, project, LAUNCH_JOB, *command, *options])
    newest = max((storage / "runs").glob("*/events.jsonl"))
    ends = [
        datetime.fromisoformat(event["time"])
        for event in map(json.loads, newest.read_text().splitlines())
        if event["event"] == "epoch"
    ]
    return (ends[-1] - ends[0]).total_seconds() / epochs


if __name__ == "__main__":
    sys.exit(main())
