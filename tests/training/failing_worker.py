"""A worker that fails in one real way and writes down how: RANK WORKERS HOW RUN-FOLDER."""

import os
import signal
import sys
from pathlib import Path

import tensorflow as tf

from orchestrator.storage.run_folder import RunFolder
from orchestrator.training.failure import Failure
from orchestrator.training.shared_sum import SharedSum


def take_too_much():
    tf.zeros([1 << 44]) + 1


def start_server():
    tf.distribute.MultiWorkerMirroredStrategy()


def feed_from_a_missing_shard():
    from orchestrator.data.manifest import Shard
    from orchestrator.data.shards import check_shard

    def rows():
        shard = Shard(file="train-0000.arrow", rows=1, size_bytes=1, sha256="")
        check_shard(Path("/nowhere"), shard)
        yield 1

    spec = tf.TensorSpec((), tf.int32)
    list(tf.data.Dataset.from_generator(rows, output_signature=spec))


def lose_a_peer():
    strategy = tf.distribute.MultiWorkerMirroredStrategy()

    @tf.function
    def step():
        return strategy.run(
            lambda: tf.distribute.get_replica_context().all_reduce("sum", tf.ones([1000]))
        )

    for turn in range(1_000_000):
        if turn == 20 and RANK == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        step()


def lose_a_neighbour():
    shared = SharedSum(RunFolder(path=Path(folder)).path / "shared", rank=RANK, workers=2)

    @tf.function
    def step():
        return shared.sum(tf.ones([1000]))

    for turn in range(1_000_000):
        if turn == 20 and RANK == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        step()


RANK, _, how, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
try:
    globals()[how]()
except Exception as err:  # noqa: BLE001 - whatever it is, it is written down
    Failure.of(err, rank=RANK).write(RunFolder(path=Path(folder)).attempt(1))
