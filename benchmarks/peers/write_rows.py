"""Write rows of 28×28 bytes one way, and say how fast that was and what memory it took.

python write_rows.py launch-job|plain|ray|tfrecord ROWS FOLDER
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

#: Rows that are different; the others are these again, so that making them costs next to nothing.
DIFFERENT = 8192


def batches(rows: int, first: int = 0) -> Iterator[dict[str, Any]]:
    import numpy as np

    images = np.random.default_rng(0).integers(0, 256, (DIFFERENT, 28, 28), np.uint8)
    labels = np.arange(DIFFERENT) % 10
    for at in range(first, rows, DIFFERENT):
        count = min(DIFFERENT, rows - at)
        yield {"image": images[:count], "label": labels[:count]}


def with_launch_job(rows: int, folder: Path) -> None:
    from functools import partial

    from orchestrator.data.prepare import prepare
    from orchestrator.data.source import Column, Source, Split
    from orchestrator.storage.storage import Storage

    splits = {
        name: Split(rows=n, read=partial(batches, n), read_from=partial(batches, n))
        for name, n in (("train", rows), ("test", 1000))
    }
    source = Source(
        features=(Column(name="image", dtype="uint8", shape=(28, 28)),),
        label=Column(name="label", dtype="int64"),
        classes=tuple("0123456789"),
        splits=splits,
        digest=f"generated {rows}",
        origin="generated",
    )
    prepare("generated", source, streams=48, storage=Storage.at(str(folder)))


def plainly(rows: int, folder: Path) -> None:
    folder.mkdir()
    with (folder / "rows").open("wb", buffering=0) as file:
        for batch in batches(rows):
            file.write(batch["image"].data)
            file.write(batch["label"].data)
        os.fsync(file.fileno())


def with_tfrecord(rows: int, folder: Path) -> None:
    import tensorflow as tf

    folder.mkdir()
    with tf.io.TFRecordWriter(str(folder / "rows.tfrecord")) as writer:
        for batch in batches(rows):
            for image, label in zip(batch["image"], batch["label"].tolist(), strict=True):
                features = {
                    "image": tf.train.Feature(
                        bytes_list=tf.train.BytesList(value=[image.tobytes()])
                    ),
                    "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
                }
                example = tf.train.Example(features=tf.train.Features(feature=features))
                writer.write(example.SerializeToString())
    with (folder / "rows.tfrecord").open("rb") as file:
        os.fsync(file.fileno())


def with_ray(rows: int, folder: Path) -> None:
    import ray

    ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)
    ray.data.DataContext.get_current().enable_progress_bars = False

    def make(batch: dict[str, Any]) -> dict[str, Any]:
        return next(batches(len(batch["id"])))

    made = ray.data.range(rows).map_batches(make, batch_size=DIFFERENT)
    made.write_parquet(str(folder))
    os.sync()
    ray.shutdown()


WAYS = {
    "launch-job": with_launch_job,
    "plain": plainly,
    "ray": with_ray,
    "tfrecord": with_tfrecord,
}


def main() -> None:
    way, rows, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    began = time.perf_counter()
    WAYS[way](rows, folder)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    peak += resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(json.dumps({"mb_per_s": rows * 792 / 1e6 / seconds, "seconds": seconds, "peak": peak}))


if __name__ == "__main__":
    main()
