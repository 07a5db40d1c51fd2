"""Peer: Ray Train's TensorflowTrainer, as its documentation has it, on two CPU workers.

The documented worker loop calls `model.fit`, which has been broken under
MultiWorkerMirroredStrategy since Keras 3 (keras-team/keras#20585); a custom loop takes its place.
Rank 0 writes the time of its first finished optimizer step to a file.
"""

from __future__ import annotations

import argparse
import os
import secrets
import tempfile
from pathlib import Path
from typing import Any


def train(config: dict[str, Any]) -> None:
    """Train one short epoch, as one worker."""
    import sys
    import time

    sys.path.insert(0, config["peers"])
    import keras
    import tensorflow as tf
    from ray import train as ray_train
    from workload import BATCH_SIZE, build_lstm, load

    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    rank, workers = strategy.cluster_resolver.task_id, strategy.num_replicas_in_sync
    x, y = load(Path(config["data_dir"]), "train")
    mine = slice(rank, config["steps"] * BATCH_SIZE, workers)

    def shard(context: tf.distribute.InputContext) -> tf.data.Dataset:
        rows = tf.data.Dataset.from_tensor_slices((x[mine], y[mine]))
        batch = context.get_per_replica_batch_size(BATCH_SIZE)
        return rows.shuffle(len(x)).batch(batch).prefetch(tf.data.AUTOTUNE)

    with strategy.scope():
        model = build_lstm()
        optimizer = keras.optimizers.Adam(1e-3)
        optimizer.build(model.trainable_variables)

    def step(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            losses = keras.losses.sparse_categorical_crossentropy(y, model(x, training=True))
            loss = tf.nn.compute_average_loss(losses, global_batch_size=BATCH_SIZE)
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    @tf.function
    def take_step(x: Any, y: Any) -> tf.Tensor:
        return strategy.run(step, args=(x, y))

    loss = 0.0
    for index, batch in enumerate(strategy.distribute_datasets_from_function(shard)):
        loss = float(take_step(*batch))
        if index == 0 and rank == 0:
            Path(config["first_step"]).write_text(repr(time.time()))
    ray_train.report({"loss": loss})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first_step", type=Path, help="file that takes the time of the first step")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--as-job", action="store_true", help="this is a job of a cluster")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        if not arguments.as_job:
            keep_token_in(Path(home))
        join_ray(arguments)
        fit(arguments, storage=home)


def keep_token_in(folder: Path) -> None:
    """Give Ray a token of this run's own, so that it writes none into the user's home."""
    path = folder / "auth_token"
    path.touch(mode=0o600)
    path.write_text(secrets.token_hex(32))
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(path)


def join_ray(arguments: argparse.Namespace) -> None:
    """Start Ray; a job joins the cluster that it is a job of."""
    import ray

    if arguments.as_job:
        ray.init()
    else:
        # Without it, four workers would wait for four cores, for ever, on a machine of two.
        ray.init(num_cpus=max(arguments.workers, len(os.sched_getaffinity(0))))


def fit(arguments: argparse.Namespace, *, storage: str) -> None:
    """Train, in the words of Ray Train's documentation."""
    from ray.train import RunConfig, ScalingConfig
    from ray.train.tensorflow import TensorflowTrainer

    trainer = TensorflowTrainer(
        train_loop_per_worker=train,
        train_loop_config={
            "peers": str(Path(__file__).resolve().parent),
            "data_dir": str(arguments.data_dir.resolve()),
            "first_step": str(arguments.first_step.resolve()),
            "steps": arguments.steps,
        },
        scaling_config=ScalingConfig(num_workers=arguments.workers),
        run_config=RunConfig(storage_path=storage, name="first-step"),
    )
    trainer.fit()


if __name__ == "__main__":
    main()
