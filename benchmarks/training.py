"""Training: rows/s of two launch-job workers against MWMS by hand and against plain Keras.

Targets: as fast as two processes under MultiWorkerMirroredStrategy that somebody wrote by hand
without Ray, and 1.2 times as fast as one process of plain Keras `fit` on the same cores. What
counts is the median over the epochs after the first, which traces.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measure import LAUNCH_JOB, PEERS, Target, find_mnist, report, run_json, take_turns

OURS = "launch-job, 2 workers"
MWMS = "MWMS by hand, 2 processes"
FIT = "Keras fit, 1 process"
TARGETS = {
    (OURS, MWMS): Target(bound=1.0, at_least=True),
    (OURS, FIT): Target(bound=1.2, at_least=True),
}
MORE = {
    "MWMS by hand, compiled": ("mwms_script.py", "--compiled"),
    "Keras fit, 16 steps a call": ("keras_fit.py", "--steps-per-execution", "16"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--more", action="store_true", help="run the peers' variants as well")
    parser.add_argument("--peers-only", action="store_true", help="leave launch-job out")
    arguments = parser.parse_args()
    data, epochs = find_mnist(), arguments.epochs

    peers = {MWMS: ("mwms_script.py",), FIT: ("keras_fit.py",)}
    peers |= MORE if arguments.more else {}
    contestants = {
        name: lambda peer=peer: run_peer(peer, data, epochs) for name, peer in peers.items()
    }
    if not arguments.peers_only:
        contestants = {OURS: lambda: run_ours(data, epochs), **contestants}
    values = take_turns(contestants, arguments.rounds)
    targets: dict[tuple[str, str], Target | None] = (
        {(MWMS, FIT): None}
        if arguments.peers_only
        else {**TARGETS, **({(OURS, name): None for name in MORE} if arguments.more else {})}
    )
    return report("training", "rows/s of the epochs after the first", values, targets)


def run_ours(data: Path, epochs: int) -> float:
    """Run the command as a user does, on a storage of its own, and return its rows/s."""
    with tempfile.TemporaryDirectory() as storage:
        command = [LAUNCH_JOB, "lstm-mnist", "--workers", 2, "--epochs", epochs]
        options = ["--batch-size", 128, "--data-dir", data, "--storage", storage, "-o", "json"]
        return steady(run_json([str(part) for part in (*command, *options)])["history"])


def run_peer(peer: Sequence[str], data: Path, epochs: int) -> float:
    """Run a peer and return its rows/s."""
    script, *options = peer
    common = ["--data-dir", str(data), "--epochs", str(epochs)]
    return steady(run_json([sys.executable, PEERS / script, *common, *options])["epochs"])


def steady(epochs: Sequence[dict[str, Any]]) -> float:
    """Return the median rows/s of the epochs after the first."""
    return statistics.median(epoch["rows_per_s"] for epoch in epochs[1:])


if __name__ == "__main__":
    sys.exit(main())
