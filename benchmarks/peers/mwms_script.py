"""Peer: two processes under MultiWorkerMirroredStrategy without Ray, written by hand.

Started without TF_CONFIG, it starts one process a worker, as a shell script would; a process
that has TF_CONFIG trains. Rows lie in memory, each worker shuffles and batches its half, and a
graph takes several steps a call. `--compiled --pinned` is what makes it faster.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from workload import BATCH_SIZE, MODELS, epoch_entry, load

STEPS_PER_CALL = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--model", choices=MODELS, default="lstm")
    parser.add_argument(
        "--compiled", action="store_true", help="compile the forward and backward pass with XLA"
    )
    parser.add_argument("--pinned", action="store_true", help="keep each process to one core")
    arguments = parser.parse_args()
    if "TF_CONFIG" in os.environ:
        train(arguments)
    else:
        start_workers(arguments.workers)


def start_workers(count: int) -> None:
    """Run this script again, once for each worker; the first one prints the result."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(count)]
    workers = []
    for index in range(count):
        config = {
            "cluster": {"worker": addresses},
            "task": {"type": "worker", "index": index},
        }
        workers.append(
            subprocess.Popen(
                [sys.executable, *sys.argv],
                env={**os.environ, "TF_CONFIG": json.dumps(config)},
                stdout=None if index == 0 else subprocess.DEVNULL,
            )
        )
    sys.exit(max(abs(worker.wait()) for worker in workers))


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for free in sockets:
        free.bind(("127.0.0.1", 0))
    ports = [free.getsockname()[1] for free in sockets]
    for free in sockets:
        free.close()
    return ports


def train(arguments: argparse.Namespace) -> None:
    """Train as one worker of those that TF_CONFIG names."""
    if arguments.pinned:
        cores = sorted(os.sched_getaffinity(0))
        task = json.loads(os.environ["TF_CONFIG"])["task"]
        os.sched_setaffinity(0, {cores[task["index"] % len(cores)]})

    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    strategy = tf.distribute.MultiWorkerMirroredStrategy()

    import keras

    rank, workers = strategy.cluster_resolver.task_id, strategy.num_replicas_in_sync
    x, y = load(arguments.data_dir, "train")
    steps, rest = divmod(len(x), BATCH_SIZE)
    steps += rest > 0

    def shard(context: tf.distribute.InputContext) -> tf.data.Dataset:
        mine = slice(rank, None, workers)
        rows = tf.data.Dataset.from_tensor_slices((x[mine], y[mine]))
        batch = context.get_per_replica_batch_size(BATCH_SIZE)
        batches = rows.shuffle(len(x) // workers, seed=0).batch(batch)
        # Of batches that end, the strategy asks all workers before each step whether they have.
        return batches.repeat().prefetch(tf.data.AUTOTUNE)

    with strategy.scope():
        model = MODELS[arguments.model]()
        optimizer = keras.optimizers.Adam(1e-3)
        optimizer.build(model.trainable_variables)
    batches = strategy.distribute_datasets_from_function(shard)

    @tf.function(jit_compile=arguments.compiled or None)
    def gradients(x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            losses = keras.losses.sparse_categorical_crossentropy(y, model(x, training=True))
            loss = tf.nn.compute_average_loss(losses, global_batch_size=BATCH_SIZE)
        return loss, tape.gradient(loss, model.trainable_variables)

    def step(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        loss, grads = gradients(x, y)
        optimizer.apply(grads, model.trainable_variables)
        return loss

    @tf.function
    def take_steps(iterator: Any, count: tf.Tensor) -> tf.Tensor:
        total = tf.constant(0.0)
        for _ in tf.range(count):
            total += strategy.run(step, args=next(iterator))
        # One exchange a call instead of one a step.
        return strategy.reduce(tf.distribute.ReduceOp.SUM, total, axis=None)

    entries = []
    iterator = iter(batches)
    for epoch in range(arguments.epochs):
        began = time.perf_counter()
        total = 0.0
        for done in range(0, steps, STEPS_PER_CALL):
            total += float(take_steps(iterator, tf.constant(min(STEPS_PER_CALL, steps - done))))
        seconds = time.perf_counter() - began
        entries.append(epoch_entry(epoch, seconds, len(x), total / steps))
    weights = float(sum(tf.reduce_sum(w) for w in model.trainable_variables))
    print(f"rank {rank}: sum of weights {weights:.9f}", file=sys.stderr)
    print(json.dumps({"peer": "mwms_script", "workers": workers, "epochs": entries}))


if __name__ == "__main__":
    main()
