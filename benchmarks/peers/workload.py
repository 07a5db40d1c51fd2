"""What every peer trains: the same rows, the same model, the same optimizer.

It is what launch-job's lstm-mnist is, written down a second time, so that the peers run without
launch-job.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

#: Rows of a global batch.
BATCH_SIZE = 128


def load_train(folder: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Read MNIST's training rows: images (60000, 28, 28) float32 in [0, 1], labels int64."""
    images = gzip.decompress((folder / "train-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((folder / "train-labels-idx1-ubyte.gz").read_bytes())
    x = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28)
    y = np.frombuffer(labels, np.uint8, offset=8)
    return x.astype(np.float32) / 255, y.astype(np.int64)


def build_model() -> keras.Model:
    """Build the model: an LSTM that reads an image as 28 rows of 28 pixels."""
    import keras

    return keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.LSTM(64, activation="tanh"),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


def epoch_entry(epoch: int, seconds: float, rows: int, loss: float) -> dict[str, float]:
    """Return what is printed of an epoch."""
    return {"epoch": epoch, "seconds": seconds, "rows_per_s": rows / seconds, "loss": loss}
