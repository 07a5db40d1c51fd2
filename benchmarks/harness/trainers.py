"""Contestants that train: launch-job as a user starts it, and the peers' scripts."""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from harness.processes import LAUNCH_JOB, PEERS, find_mnist, run_json

#: What a contestant has said of itself: launch-job's report, or what a peer printed.
Told = dict[str, Any]

#: What makes the peer `keras_fit.py` fastest for the LSTM.
FIT_FASTEST = ("--steps-per-execution", "16", "--compiled", "--threads", "1")
#: What makes the peer `mwms_script.py` fastest.
MWMS_FASTEST = ("--compiled", "--pinned")


def ours(
    job: str, *more: str, workers: int, epochs: int, batch_size: int = 128
) -> Callable[[], Told]:
    """Return a contestant: `launch-job JOB` on MNIST and a storage of its own."""
    data = find_mnist()

    def run() -> Told:
        with tempfile.TemporaryDirectory() as storage:
            sizes = {"--workers": workers, "--epochs": epochs, "--batch-size": batch_size}
            folders = {"--data-dir": data, "--storage": storage}
            options = [str(part) for pair in {**sizes, **folders}.items() for part in pair]
            return dict(run_json([LAUNCH_JOB, job, *more, *options, "-o", "json"]))

    return run


def peer(script: str, *options: str, epochs: int) -> Callable[[], Told]:
    """Return a contestant: a peer's script on MNIST."""
    common = ["--data-dir", str(find_mnist()), "--epochs", str(epochs)]
    return partial(run_json, [sys.executable, PEERS / script, *common, *options])


def rows_per_s(told: Sequence[Told]) -> list[float]:
    """Return the median rows/s of the epochs after the first, which traces, of each round."""
    return [
        statistics.median(
            epoch["rows_per_s"] for epoch in run["history" if "history" in run else "epochs"][1:]
        )
        for run in told
    ]
