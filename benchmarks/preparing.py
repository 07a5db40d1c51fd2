"""Preparing: rows of 28×28 bytes into shards, against writing as many bytes to the same disk.

Target: 0.6 of the speed of plain writes, with fsync on both sides. Every contestant is a process of
its own, whose peak memory is shown besides. Peers, for information: Ray Data's write_parquet and
TensorFlow's TFRecordWriter on the same rows.

    python benchmarks/preparing.py                          # a million rows, 5 rounds
    python benchmarks/preparing.py --rows 10000000 --rounds 1
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from measure import PEERS, Target, report, run_json, show, take_turns

OURS, PLAIN = "launch-job", "plain writes"
RAY, TFRECORD = "Ray Data, write_parquet", "TFRecordWriter"
#: Limit of the memory of preparing, whatever the number of rows.
PEAK_BYTES = 1.5 * 2**30


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--peers", action="store_true", help="run Ray Data and TFRecord as well")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        ways = {OURS: "launch-job", PLAIN: "plain"}
        ways |= {RAY: "ray", TFRECORD: "tfrecord"} if arguments.peers else {}
        told: dict[str, list[dict[str, Any]]] = take_turns(
            {who: partial(run, way, arguments.rows, folder) for who, way in ways.items()},
            arguments.rounds,
        )
    show(
        "peak memory, MiB",
        ("", "most"),
        [(who, f"{max(t['peak'] for t in rounds) / 2**20:,.0f}") for who, rounds in told.items()],
    )
    speeds = {who: [t["mb_per_s"] for t in rounds] for who, rounds in told.items()}
    targets: dict[tuple[str, str], Target | None] = {(OURS, w): None for w in ways if w != OURS}
    targets[OURS, PLAIN] = Target(bound=0.6, at_least=True)
    code = report("preparing", "MB/s of rows", speeds, targets)
    bounded = max(t["peak"] for t in told[OURS]) <= PEAK_BYTES
    return code if bounded else 1


def run(way: str, rows: int, folder: Path) -> dict[str, Any]:
    """Have the rows written one way; return its speed and peak memory."""
    target = folder / way
    shutil.rmtree(target, ignore_errors=True)
    told = run_json([sys.executable, PEERS / "write_rows.py", way, str(rows), str(target)])
    shutil.rmtree(target, ignore_errors=True)
    return dict(told)


if __name__ == "__main__":
    sys.exit(main())
