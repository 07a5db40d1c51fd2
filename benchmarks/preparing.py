"""Preparing: rows of 28×28 bytes into shards, against writing as many bytes to the same disk.

There is an fsync on both sides. Every contestant is a process of
its own, whose peak memory is shown besides. Peers, for information: Ray Data's write_parquet and
TensorFlow's TFRecordWriter on the same rows.

    python benchmarks/preparing.py                          # a million rows, 5 rounds
    python benchmarks/preparing.py --rows 10000000 --rounds 1
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from harness import (
    PEERS,
    Comparison,
    Question,
    at_least,
    options,
    report,
    run_json,
    show,
    take_turns,
)

OURS, PLAIN = "launch-job", "plain writes"
RAY, TFRECORD = "Ray Data, write_parquet", "TFRecordWriter"
#: Limit of the memory of preparing, whatever the number of rows.
PEAK_BYTES = 1.5 * 2**30


def main() -> int:
    parser = options(__doc__, rounds=5)
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
    question = Question(
        name="preparing",
        title="How fast do rows become shards?",
        unit="MB/s of rows",
        comparisons=(
            Comparison(ours=OURS, peer=PLAIN, target=at_least(0.6)),
            *(Comparison(ours=OURS, peer=who) for who in ways if who not in (OURS, PLAIN)),
        ),
        method=__doc__,
    )
    code = report(question, speeds)
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
