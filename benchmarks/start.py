"""Start: seconds from the command to the first optimizer step, against Ray's TensorflowTrainer.

Target: 0.7 times the peer's time or less, both with two workers on MNIST. launch-job runs twice a
round: on a new storage, where it prepares the dataset first, and on one where it is prepared.
Both are judged.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from measure import LAUNCH_JOB, PEERS, Target, find_mnist, report, run_text, take_turns

FIRST = "launch-job, first run"
AGAIN = "launch-job, dataset prepared"
PEER = "TensorflowTrainer"
TARGET = Target(bound=0.7, at_least=False)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers-only", action="store_true", help="leave launch-job out")
    arguments = parser.parse_args()
    data = find_mnist()
    with tempfile.TemporaryDirectory() as kept:
        if not arguments.peers_only:
            start_ours(data, Path(kept))  # prepares the dataset; not measured
        contestants = {
            FIRST: lambda: start_ours_anew(data),
            AGAIN: lambda: start_ours(data, Path(kept)),
            PEER: lambda: start_peer(data),
        }
        if arguments.peers_only:
            contestants = {PEER: contestants[PEER]}
        values = take_turns(contestants, arguments.rounds)
    pairs = [] if arguments.peers_only else [(FIRST, PEER), (AGAIN, PEER)]
    unit = "seconds from the command to the first optimizer step"
    return report("start", unit, values, dict.fromkeys(pairs, TARGET))


def start_ours_anew(data: Path) -> float:
    """Start launch-job on a storage that is empty."""
    with tempfile.TemporaryDirectory() as storage:
        return start_ours(data, Path(storage))


def start_ours(data: Path, storage: Path) -> float:
    """Run the command for one epoch and return the seconds to its first step."""
    before = set(runs(storage))
    command = [LAUNCH_JOB, "lstm-mnist", "--workers", "2", "--epochs", "1"]
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
        began = run([sys.executable, script, noted, "--data-dir", data])
        return float(noted.read_text()) - began


def run(command: Sequence[str | Path]) -> float:
    """Run a command to its end and return when it was started, in seconds since 1970."""
    began = time.time()
    run_text(command)
    return began


if __name__ == "__main__":
    sys.exit(main())
