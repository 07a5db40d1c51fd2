"""Recovery: seconds from a worker's SIGKILL to the next optimizer step, against plain Ray Train.

Both train the LSTM on MNIST with two workers and write
a checkpoint every 50 steps; one worker is killed some seconds after the first step.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

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
    take_turns,
)

OURS = "launch-job"
PEER = "TensorflowTrainer"

QUESTION = Question(
    name="recovery",
    title="How long until training goes on after a worker's death?",
    unit="seconds from a worker's SIGKILL to the next optimizer step",
    comparisons=(Comparison(ours=OURS, peer=PEER, target=at_most(0.7)),),
    method=__doc__,
)

#: From the first step to the fault.
_UNTIL_KILL_S = 4.0

#: A contestant that takes no step for so long has lost.
_PATIENCE_S = 180.0


def main() -> int:
    rounds = options(__doc__, rounds=5).parse_args().rounds
    data = find_mnist()
    contestants = {OURS: lambda: recover_ours(data), PEER: lambda: recover_peer(data)}
    return report(QUESTION, take_turns(contestants, rounds, warm_up=False))


def recover_ours(data: Path) -> float:
    """Run the command, kill one of its workers and return how long it took no step."""
    with tempfile.TemporaryDirectory() as storage:
        command: Command = [
            *(LAUNCH_JOB, "lstm-mnist", "--workers", "2", "--epochs", "100"),
            *("--checkpoint-every", "50", "--data-dir", data, "--storage", storage),
        ]

        def first_steps() -> list[float]:
            return [
                datetime.fromisoformat(event["time"]).timestamp()
                for path in Path(storage).glob("runs/*/events.jsonl")
                for event in map(json.loads, path.read_text().splitlines())
                if event["event"] == "first_step"
            ]

        return recover(command, first_steps, lambda: workers_in(storage)[-1])


def recover_peer(data: Path) -> float:
    """Do the same to the peer."""
    with tempfile.TemporaryDirectory() as folder:
        noted = Path(folder)

        def first_steps() -> list[float]:
            path = noted / "first_steps"
            return [float(line) for line in path.read_text().split()] if path.exists() else []

        command: Command = [
            sys.executable,
            PEERS / "ray_train_recovery.py",
            noted,
            "--data-dir",
            data,
        ]
        return recover(command, first_steps, lambda: int((noted / "pid-1").read_text()))


def recover(
    command: Command,
    first_steps: Callable[[], list[float]],
    victim: Callable[[], int],
) -> float:
    """Run a command, kill a worker after its first step, and return the seconds to the next one."""
    process = subprocess.Popen(
        list(map(str, command)),
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        await_steps(first_steps, 1, process)
        time.sleep(_UNTIL_KILL_S)
        killed = time.time()
        os.kill(victim(), signal.SIGKILL)
        return await_steps(first_steps, 2, process)[1] - killed
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()


def await_steps(
    first_steps: Callable[[], list[float]], count: int, process: subprocess.Popen[bytes]
) -> list[float]:
    """Wait until so many attempts have taken their first step; return when they did."""
    deadline = time.monotonic() + _PATIENCE_S
    while len(found := first_steps()) < count:
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"{process.args!r}: attempt {count} took no step.")
        time.sleep(0.05)
    return found


def workers_in(storage: str) -> list[int]:
    """Return the workers that write into a storage: their logs are open files in it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cmdline").read_bytes().startswith(b"ray::RayTrainWorker"):
                log = str((process / "fd" / "1").readlink())
                found += [(log, int(process.name))] if log.startswith(storage) else []
        except OSError:
            continue
    return [pid for _, pid in sorted(found)]


if __name__ == "__main__":
    sys.exit(main())
