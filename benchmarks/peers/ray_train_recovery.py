"""Peer: plain Ray Train that goes on after a worker's death, as its documentation has it.

A TensorflowTrainer with `FailureConfig(max_failures=3)` and default settings. Its loop is written
by hand, since the documented `model.fit` is broken under this strategy (keras-team/keras#20585);
it reports a checkpoint every so many steps and goes on from the newest one. Each attempt writes
the time of its first step and its process number into a folder.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

from tensorflow_trainer import keep_token_in


def train(config: dict[str, Any]) -> None:
    """Train until the run is ended, as one worker."""
    import sys
    import time

    sys.path.insert(0, config["peers"])
    import tensorflow as tf
    from ray import train as ray_train
    from workload import BATCH_SIZE, build_lstm, load

    noted = Path(config["noted"])
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    rank, workers = strategy.cluster_resolver.task_id, strategy.num_replicas_in_sync
    (noted / f"pid-{rank}").write_text(str(os.getpid()))
    x, y = load(Path(config["data_dir"]), "train")

    def shard(context: tf.distribute.InputContext) -> tf.data.Dataset:
        rows = tf.data.Dataset.from_tensor_slices((x[rank::workers], y[rank::workers]))
        batch = context.get_per_replica_batch_size(BATCH_SIZE)
        return rows.shuffle(len(x)).repeat().batch(batch).prefetch(tf.data.AUTOTUNE)

    with strategy.scope():
        model = build_lstm()
        model.compile("adam", "sparse_categorical_crossentropy")
        model.optimizer.build(model.trainable_variables)
        saved = tf.train.Checkpoint(model=model, optimizer=model.optimizer)
    if (last := ray_train.get_checkpoint()) is not None:
        with last.as_directory() as folder:
            saved.read(f"{folder}/state").expect_partial()

    def step(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = model.compute_loss(x, y, model(x, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        model.optimizer.apply(gradients, model.trainable_variables)
        return loss

    @tf.function
    def take_step(x: Any, y: Any) -> tf.Tensor:
        return strategy.run(step, args=(x, y))

    for index, batch in enumerate(strategy.distribute_datasets_from_function(shard)):
        loss = float(take_step(*batch))
        if index == 0 and rank == 0:
            with (noted / "first_steps").open("a") as file:
                file.write(f"{time.time()!r}\n")
        if (index + 1) % config["every"] == 0:
            with tempfile.TemporaryDirectory() as folder:
                saved.write(f"{folder}/state")
                checkpoint = ray_train.Checkpoint.from_directory(folder) if rank == 0 else None
                ray_train.report({"loss": loss}, checkpoint=checkpoint)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("noted", type=Path, help="folder that takes times and process numbers")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--every", type=int, default=50)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        keep_token_in(Path(home))
        fit(arguments, storage=home)


def fit(arguments: argparse.Namespace, *, storage: str) -> None:
    """Start Ray and train, in the words of Ray Train's documentation."""
    import ray
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.tensorflow import TensorflowTrainer

    ray.init()
    trainer = TensorflowTrainer(
        train_loop_per_worker=train,
        train_loop_config={
            "peers": str(Path(__file__).resolve().parent),
            "data_dir": str(arguments.data_dir.resolve()),
            "noted": str(arguments.noted.resolve()),
            "every": arguments.every,
        },
        scaling_config=ScalingConfig(num_workers=2),
        run_config=RunConfig(
            storage_path=storage,
            name="recovery",
            failure_config=FailureConfig(max_failures=3),
            checkpoint_config=CheckpointConfig(num_to_keep=2),
        ),
    )
    trainer.fit()


if __name__ == "__main__":
    main()
