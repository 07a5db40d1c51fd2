"""A dataset of any size, as its user has it: `data prepare`, then a run of 200 steps over all rows.

    python benchmarks/large_run.py                        # a million rows
    python benchmarks/large_run.py --rows 10000000        # 7.8 GB

It shows what each command took and the most memory that all of its processes had together, without
the pages of mapped files, which the system takes back when it needs them. The limit is that of
preparing, 1.5 GiB.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import LAUNCH_JOB, show
from preparing import PEAK_BYTES

STEPS = 200

#: How often memory is looked at.
_LOOK_EVERY_S = 0.25

DATASET = '''
"""Pictures of 28×28 bytes, made up; one in ten columns is bright, and its number is the class."""

import functools

import numpy as np
from orchestrator import dataset
from orchestrator.data.source import Column, Source, Split

ROWS = {rows}
BATCH = 8192


def read(rows, first=0):
    noise = np.random.default_rng(0).integers(0, 200, (BATCH, 28, 28), np.uint8)
    labels = np.arange(BATCH) % 10
    noise[np.arange(BATCH), :, labels * 2] = 255
    for at in range(first, rows, BATCH):
        count = min(BATCH, rows - at)
        yield {{"image": noise[:count], "label": labels[:count]}}


@dataset()
def many(context):
    def split(rows):
        reader = functools.partial(read, rows)
        return Split(rows=rows, read=reader, read_from=reader)

    return Source(
        features=(Column(name="image", dtype="uint8", shape=(28, 28)),),
        label=Column(name="label", dtype="int64"),
        classes=tuple("0123456789"),
        splits={{"train": split(ROWS), "test": split(10_000)}},
        digest=f"many {{ROWS}}",
        origin="made up",
    )
'''

JOB = '''
"""A dense layer over all pixels."""

from orchestrator import job


@job(dataset="many", epochs=1, batch_size=128)
def mlp_many():
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28)),
            layers.Rescaling(1 / 255),
            layers.Flatten(),
            layers.Dense(16, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
'''


@dataclass(frozen=True, kw_only=True)
class Told:
    """What one command took and printed."""

    #: Seconds from its start to its end.
    seconds: float
    #: Most memory of all its processes together.
    peak_bytes: int
    #: The JSON it printed.
    printed: dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        project = make_project(Path(name), arguments.rows)
        prepared = watch(["data", "prepare", "many"], project)
        batch = arguments.rows // STEPS
        run = watch(["mlp-many", "--workers", "2", "--batch-size", str(batch)], project)
    report = run.printed
    show(
        f"{arguments.rows:,} rows of 28×28 bytes, {STEPS} steps of {batch:,} rows, 2 workers",
        ("", "seconds", "peak memory, MiB"),
        [
            (what, f"{told.seconds:,.1f}", f"{told.peak_bytes / 2**20:,.0f}")
            for what, told in (("launch-job data prepare", prepared), ("launch-job mlp-many", run))
        ],
    )
    phases = ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in report["phases"].items())
    print(f"\n{report['steps']} steps, {report['train_rows_per_s']:,.0f} rows/s: {phases}")
    print(f"{report['accuracy']:.1%} of {report['test_rows']:,} test rows right")
    whole = report["steps"] == STEPS and report["train_rows"] == arguments.rows
    return 0 if whole and prepared.peak_bytes <= PEAK_BYTES else 1


def make_project(folder: Path, rows: int) -> Path:
    """Write a project with one dataset and one job."""
    (folder / "cluster.yaml").touch()
    for kind, file, text in (
        ("datasets", "many.py", DATASET.format(rows=rows)),
        ("jobs", "mlp_many.py", JOB),
    ):
        (folder / kind).mkdir()
        (folder / kind / file).write_text(text)
    return folder


def watch(arguments: Sequence[str], folder: Path) -> Told:
    """Run launch-job to its end, looking at the memory of all its processes.

    Raises:
        SystemExit: It failed; what it said last is on standard error.
    """
    mark = uuid.uuid4().hex
    began = time.perf_counter()
    process = subprocess.Popen(
        [str(LAUNCH_JOB), *arguments, "-o", "json"],
        cwd=folder,
        env={**os.environ, "LAUNCH_JOB_BENCHMARK": mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    ended, peak = threading.Event(), 0

    def look() -> None:
        nonlocal peak
        while not ended.wait(_LOOK_EVERY_S):
            peak = max(peak, sum(map(own_bytes, marked(mark))))

    looking = threading.Thread(target=look)
    looking.start()
    out, said = process.communicate()
    ended.set()
    looking.join()
    if process.returncode:
        print(said[-4000:], file=sys.stderr)
        raise SystemExit(f"launch-job {arguments[0]} ended with exit code {process.returncode}.")
    seconds = time.perf_counter() - began
    return Told(seconds=seconds, peak_bytes=peak, printed=json.loads(out))


def marked(mark: str) -> list[Path]:
    """Return the /proc folders of the processes that have a mark in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (folder / "environ").read_bytes():
                found.append(folder)
    return found


def own_bytes(process: Path) -> int:
    """Return a process's share of memory, but for mapped files (proc(5), smaps_rollup)."""
    with contextlib.suppress(OSError):
        lines = (process / "smaps_rollup").read_text().splitlines()
        sizes = {line.split(":")[0]: line.split()[1] for line in lines[1:]}
        return 1024 * (int(sizes["Pss_Anon"]) + int(sizes["Pss_Shmem"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
