"""Submission: seconds from the command to the first optimizer step, on a cluster that is up.

Both train on MNIST with two workers, on the same Ray cluster of this machine alone, and are
submitted through its Jobs API; launch-job's dataset is prepared. The peer is `ray job submit` of a
script that trains as Ray's documentation of TensorflowTrainer has it, with a loop that works.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from harness import (
    LAUNCH_JOB,
    PEERS,
    ROOT,
    Command,
    Comparison,
    Question,
    at_most,
    find_mnist,
    options,
    report,
    take_turns,
)
from start import first_step, run, runs

sys.path.insert(0, str(ROOT / "tests" / "cluster"))
from local_cluster import BIN, LocalCluster

OURS = "launch-job"
PEER = "ray job submit"

QUESTION = Question(
    name="submission",
    title="How long from submitting to the first step, on a cluster that is up?",
    unit="seconds",
    comparisons=(Comparison(ours=OURS, peer=PEER, target=at_most(0.6)),),
    method=__doc__,
)


def main() -> int:
    rounds = options(__doc__, rounds=5).parse_args().rounds
    data = find_mnist()
    with LocalCluster() as cluster, tempfile.TemporaryDirectory() as kept:
        os.environ.update(cluster.environment())
        submit_ours(cluster, data, Path(kept))  # prepares the dataset; not measured
        contestants = {
            OURS: lambda: submit_ours(cluster, data, Path(kept)),
            PEER: lambda: submit_peer(cluster, data),
        }
        values = take_turns(contestants, rounds)
    return report(QUESTION, values)


def submit_ours(cluster: LocalCluster, data: Path, storage: Path) -> float:
    """Submit a run of one epoch and return the seconds to its first step."""
    before = set(runs(storage))
    command: Command = [
        *(LAUNCH_JOB, "lstm-mnist", "--workers", "2", "--epochs", "1", "--batch-size", "128"),
        *("--device", "cpu", "--data-dir", data, "--storage", storage),
        *("--address", cluster.url, "-o", "json"),
    ]
    began = run(command)
    (run_folder,) = set(runs(storage)) - before
    return first_step(run_folder / "events.jsonl") - began


def submit_peer(cluster: LocalCluster, data: Path) -> float:
    """Submit the script, follow it to its end, and return the seconds to its first step."""
    with tempfile.TemporaryDirectory() as folder:
        noted = Path(folder) / "first_step"
        submit: Command = [
            *(BIN / "ray", "job", "submit", "--address", cluster.url, "--working-dir", PEERS),
            *("--", "python", "tensorflow_trainer.py", noted, "--data-dir", data, "--as-job"),
        ]
        began = run(submit)
        return float(noted.read_text()) - began


if __name__ == "__main__":
    sys.exit(main())
