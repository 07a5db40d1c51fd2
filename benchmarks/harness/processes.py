"""Contestants that are processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

#: A program and its arguments.
Command = Sequence[str | Path]

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "benchmarks" / "peers"
LAUNCH_JOB = Path(sys.executable).with_name("launch-job")


def find_mnist() -> Path:
    """Return the folder of MNIST's four IDX files, or end with exit code 2 if there is none."""
    named = os.environ.get("LAUNCH_JOB_DATA_DIR")
    folder = Path(named) if named else ROOT.parent / "shared" / "mnist"
    if not (folder / "train-images-idx3-ubyte.gz").is_file():
        print(
            f"MNIST isn't in {folder}.\nName the folder of its four .gz files with "
            "LAUNCH_JOB_DATA_DIR.",
            file=sys.stderr,
        )
        raise SystemExit(2)
    return folder.resolve()


def run_json(command: Command, env: Mapping[str, str] | None = None) -> Any:
    """Run a command and return the JSON on its standard output.

    Raises:
        SystemExit: It failed; what it said last is on standard error.
    """
    text = run_text(command, env)
    return json.loads(text[text.index("{") :])


def run_text(command: Command, env: Mapping[str, str] | None = None) -> str:
    """Run a command to its end and return its standard output.

    Raises:
        SystemExit: It failed; what it said last is on standard error.
    """
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(done.stderr[-4000:], file=sys.stderr)
        raise SystemExit(f"{command[0]} ended with exit code {done.returncode}.")
    return done.stdout


def seconds(command: Command, env: Mapping[str, str] | None = None) -> float:
    """Run a command to its end and return how long it took."""
    began = time.perf_counter()
    run_text(command, env)
    return time.perf_counter() - began
