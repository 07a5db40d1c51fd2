"""Peer: plain Keras, one process, `fit` on arrays in memory, as its users write it.

`--steps-per-execution 16 --compiled --threads 1` is what makes it faster without another way to
feed it: two threads are no faster for a model like the LSTM, and at times half as fast.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import keras
from workload import BATCH_SIZE, MODELS, epoch_entry, load


class EpochTimer(keras.callbacks.Callback):
    """Notes how long every epoch took."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.rows = rows
        self.epochs: list[dict[str, float]] = []
        self._began = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clock."""
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Stop it."""
        seconds = time.perf_counter() - self._began
        self.epochs.append(epoch_entry(epoch, seconds, self.rows, float(logs["loss"])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--model", choices=MODELS, default="lstm")
    parser.add_argument("--batch-size", type=int, default=BATCH_SIZE)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--decay", type=float, default=1.0)
    parser.add_argument("--steps-per-execution", type=int, default=1)
    parser.add_argument("--compiled", action="store_true", help="compile the step with XLA")
    parser.add_argument("--threads", type=int, default=0, help="threads an operation may use")
    parser.add_argument("--test-batch-size", type=int, default=BATCH_SIZE)
    arguments = parser.parse_args()
    if arguments.threads:
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)

    x, y = load(arguments.data_dir, "train")
    model = MODELS[arguments.model]()
    model.compile(
        optimizer=keras.optimizers.Adam(arguments.learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        steps_per_execution=arguments.steps_per_execution,
        jit_compile=arguments.compiled or "auto",
    )
    timer = EpochTimer(len(x))
    callbacks: list[keras.callbacks.Callback] = [timer]
    if arguments.decay < 1:
        rate, decay = arguments.learning_rate, arguments.decay
        falling = keras.callbacks.LearningRateScheduler(lambda epoch, _: rate * decay**epoch)
        callbacks.append(falling)
    model.fit(
        x,
        y,
        batch_size=arguments.batch_size,
        epochs=arguments.epochs,
        callbacks=callbacks,
        verbose=0,
    )
    x, y = load(arguments.data_dir, "t10k")
    began = time.perf_counter()
    _, accuracy = model.evaluate(x, y, batch_size=arguments.test_batch_size, verbose=0)
    seconds = time.perf_counter() - began
    told = {"epochs": timer.epochs, "accuracy": accuracy, "evaluate_s": seconds}
    print(json.dumps({"peer": "keras_fit", **told}))


if __name__ == "__main__":
    main()
