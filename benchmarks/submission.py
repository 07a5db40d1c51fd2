"""Submission: seconds from the command to the first optimizer step, on a cluster that is up.

Target: 0.6 times the peer's time or less: `ray job submit` of a script that trains as Ray's
documentation of TensorflowTrainer has it. Both train with two workers on MNIST, on the same cluster
of this machine alone; launch-job's dataset is prepared.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from measure import LAUNCH_JOB, PEERS, ROOT, Target, find_mnist, report, take_turns
from start import first_step, run, runs

sys.path.insert(0, str(ROOT / "tests" / "cluster"))
from local_cluster import BIN, LocalCluster

OURS = "launch-job"
PEER = "ray job submit"
TARGET = Target(bound=0.6, at_least=False)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    data = find_mnist()
    with LocalCluster() as cluster, tempfile.TemporaryDirectory() as kept:
        os.environ.update(cluster.environment())
        submit_ours(cluster, data, Path(kept))  # prepares the dataset; not measured
        contestants = {
            OURS: lambda: submit_ours(cluster, data, Path(kept)),
            PEER: lambda: submit_peer(cluster, data),
        }
        values = take_turns(contestants, arguments.rounds)
    unit = "seconds from the command to the first optimizer step"
    return report("submission", unit, values, {(OURS, PEER): TARGET})


def submit_ours(cluster: LocalCluster, data: Path, storage: Path) -> float:
    """Submit a run of one epoch and return the seconds to its first step."""
    before = set(runs(storage))
    command = [LAUNCH_JOB, "lstm-mnist", "--workers", "2", "--epochs", "1", "--batch-size", "128"]
    place = ["--data-dir", data, "--storage", storage, "--address", cluster.url, "-o", "json"]
    began = run([*command, *place])
    (run_folder,) = set(runs(storage)) - before
    return first_step(run_folder / "events.jsonl") - began


def submit_peer(cluster: LocalCluster, data: Path) -> float:
    """Submit the script, follow it to its end, and return the seconds to its first step."""
    with tempfile.TemporaryDirectory() as folder:
        noted = Path(folder) / "first_step"
        submit = [BIN / "ray", "job", "submit", "--address", cluster.url, "--working-dir", PEERS]
        script = ["python", "tensorflow_trainer.py", noted, "--data-dir", data, "--as-job"]
        began = run([*submit, "--", *script])
        return float(noted.read_text()) - began


if __name__ == "__main__":
    sys.exit(main())
