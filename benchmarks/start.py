"""Start: seconds from the command to the first optimizer step, against Ray's TensorflowTrainer.

Both train `lstm-mnist` on MNIST with four workers. launch-job runs three times a round: as on a
machine where it never ran, with a new storage and no cache, so that it prepares the dataset and
compiles the step; where both are there from a run before; and so on a warm cluster (`launch-job
cluster start`), which was started just before, uncounted. The peer is the way that Ray
Train's documentation shows, with a worker loop that works. The figure shows the phases of those
rounds of launch-job that took the median time, up to the first step.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from harness import (
    LAUNCH_JOB,
    PEERS,
    Command,
    Comparison,
    Question,
    at_most,
    find_mnist,
    options,
    report,
    run_text,
    take_turns,
)
from harness.figures import bars

FIRST = "launch-job, first run"
AGAIN = "launch-job, a later run"
WARM = "launch-job, warm cluster"
PEER = "TensorflowTrainer"
WORKERS = 4

QUESTION = Question(
    name="start",
    title="How long from the command to the first step?",
    unit="seconds",
    comparisons=(
        Comparison(ours=FIRST, peer=PEER, target=at_most(0.35)),
        Comparison(ours=AGAIN, peer=PEER, target=at_most(0.35)),
        Comparison(ours=WARM, peer=PEER, target=at_most(0.15)),
    ),
    method=__doc__,
)


@dataclass(frozen=True, kw_only=True)
class Started:
    """What a contestant's start came to."""

    #: From the command to the first step.
    seconds: float
    #: Its time line, as a report has it; empty for the peer.
    timeline: Sequence[Mapping[str, Any]] = ()


def main() -> int:
    rounds = options(__doc__, rounds=5).parse_args().rounds
    data = find_mnist()
    with tempfile.TemporaryDirectory() as kept:
        contestants: dict[str, Callable[[], Started]] = {
            FIRST: partial(start_ours_anew, data),
            AGAIN: partial(start_ours, data, Path(kept)),
            WARM: partial(start_ours_warm, data, Path(kept)),
            PEER: partial(start_peer, data),
        }
        starts = take_turns(contestants, rounds, warm_up=False)
    values = {who: [start.seconds for start in of_who] for who, of_who in starts.items()}
    figure = bars(
        title="From the command to the first step, four workers",
        x="seconds after the command",
        rows={who: phases(median(starts[who])) for who in (FIRST, AGAIN, WARM)},
    )
    return report(QUESTION, values, figure=figure)


def median(starts: Sequence[Started]) -> Started:
    """Return the start that took the median time."""
    return sorted(starts, key=lambda start: start.seconds)[len(starts) // 2]


def phases(start: Started) -> list[tuple[str, float, float]]:
    """Return (name, begin, end) of the phases up to the first step."""
    spans = [(p["phase"], p["after_s"], p["after_s"] + p["seconds"]) for p in start.timeline]
    return [span for span in spans if span[1] < start.seconds - 0.001]


def start_ours_anew(data: Path) -> Started:
    """Start launch-job on a storage that is empty, and with an empty cache."""
    with tempfile.TemporaryDirectory() as storage, tempfile.TemporaryDirectory() as cache:
        return start_ours(data, Path(storage), {"XDG_CACHE_HOME": cache})


def start_ours_warm(data: Path, storage: Path) -> Started:
    """Start launch-job on a warm cluster."""
    with warm_cluster() as env:
        return start_ours(data, storage, env)


@contextmanager
def warm_cluster() -> Iterator[dict[str, str]]:
    """Keep a warm cluster; yield the environment in which runs find it, and others don't."""
    with tempfile.TemporaryDirectory() as folder:
        env = {"TMPDIR": folder}
        run_text([LAUNCH_JOB, "cluster", "start", "--idle", "2m"], env)
        try:
            yield env
        finally:
            run_text([LAUNCH_JOB, "cluster", "stop", "--now"], env)


def start_ours(data: Path, storage: Path, env: Mapping[str, str] | None = None) -> Started:
    """Run the command for one epoch and return how its first step came about."""
    before = set(runs(storage))
    command: Command = [
        *(LAUNCH_JOB, "lstm-mnist", "--workers", str(WORKERS), "--epochs", "1"),
        *("--batch-size", "128", "--data-dir", data, "--storage", storage, "-o", "json"),
    ]
    began = run(command, env)
    (folder,) = set(runs(storage)) - before
    return Started(
        seconds=first_step(folder / "events.jsonl") - began,
        timeline=json.loads((folder / "report.json").read_text())["timeline"],
    )


def run(command: Command, env: Mapping[str, str] | None = None) -> float:
    """Run a command to its end and return when it was started, in seconds since 1970."""
    began = time.time()
    run_text(command, env)
    return began


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


def start_peer(data: Path) -> Started:
    """Run TensorflowTrainer for a short epoch and return when it took its first step."""
    with tempfile.TemporaryDirectory() as folder:
        noted = Path(folder) / "first_step"
        script = PEERS / "tensorflow_trainer.py"
        counts = ["--workers", str(WORKERS)]
        began = run([sys.executable, script, noted, "--data-dir", data, *counts])
        return Started(seconds=float(noted.read_text()) - began)


if __name__ == "__main__":
    sys.exit(main())
