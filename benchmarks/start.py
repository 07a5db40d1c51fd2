"""Start: seconds from the command to the first optimizer step, against Ray's TensorflowTrainer.

Both train on MNIST with four workers. launch-job runs twice a round: on a new storage, where it
prepares the dataset first, and on one where it is prepared. The peer is the way that Ray Train's
documentation shows, with a worker loop that works. The figure shows the phases of the round with
the median time.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from harness import (
    LAUNCH_JOB,
    PEERS,
    Comparison,
    Question,
    at_most,
    find_mnist,
    options,
    report,
    run_text,
    take_turns,
)

FIRST = "launch-job, first run"
AGAIN = "launch-job, dataset prepared"
PEER = "TensorflowTrainer"
WORKERS = 4

QUESTION = Question(
    name="start",
    title="How long from the command to the first step?",
    unit="seconds",
    comparisons=(
        Comparison(ours=FIRST, peer=PEER, target=at_most(0.35)),
        Comparison(ours=AGAIN, peer=PEER, target=at_most(0.35)),
    ),
    method=__doc__,
)


def main() -> int:
    rounds = options(__doc__, rounds=5, short=3).parse_args().rounds
    data = find_mnist()
    with tempfile.TemporaryDirectory() as kept:
        contestants = {
            FIRST: lambda: start_ours_anew(data),
            AGAIN: lambda: start_ours(data, Path(kept)),
            PEER: lambda: start_peer(data),
        }
        values = take_turns(contestants, rounds)
    return report(QUESTION, values)


def start_ours_anew(data: Path) -> float:
    """Start launch-job on a storage that is empty."""
    with tempfile.TemporaryDirectory() as storage:
        return start_ours(data, Path(storage))


def start_ours(data: Path, storage: Path) -> float:
    """Run the command for one epoch and return the seconds to its first step."""
    before = set(runs(storage))
    command = [LAUNCH_JOB, "lstm-mnist", "--workers", str(WORKERS), "--epochs", "1"]
    options = ["--batch-size", "128", "--data-dir", data, "--storage", storage, "-o", "json"]
    began = run([*command, *options])
    (run_folder,) = set(runs(storage)) - before
    return first_step(run_folder / "events.jsonl") - began


def runs(storage: Path) -> list[Path]:
    """Return the folders of the runs in a storage."""
    return sorted((storage / "runs").glob("*/"))


def first_step(events: Path) -> float:
    """Return when a run finished its first optimizer step, in seconds since 1970."""
    for line in events.read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "first_step":
            return datetime.fromisoformat(event["time"]).timestamp()
    raise SystemExit(f"{events} has no first step.")


def start_peer(data: Path) -> float:
    """Run TensorflowTrainer for a short epoch and return the seconds to its first step."""
    with tempfile.TemporaryDirectory() as folder:
        noted = Path(folder) / "first_step"
        script = PEERS / "tensorflow_trainer.py"
        counts = ["--workers", str(WORKERS)]
        began = run([sys.executable, script, noted, "--data-dir", data, *counts])
        return float(noted.read_text()) - began


def run(command: Sequence[str | Path]) -> float:
    """Run a command to its end and return when it was started, in seconds since 1970."""
    began = time.time()
    run_text(command)
    return began


if __name__ == "__main__":
    sys.exit(main())
