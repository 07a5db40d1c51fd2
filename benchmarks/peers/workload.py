"""What every peer trains: the same rows, the same model, the same optimizer.

It is what launch-job's lstm-mnist and cnn-mnist are, written down a second time, so that the peers
run without launch-job.
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


def load(folder: Path, split: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Read MNIST's rows: images (rows, 28, 28) float32 in [0, 1], labels int64.

    Args:
        folder: Where its files are.
        split: `train`, 60,000 rows, or `t10k`, the 10,000 rows to test on.
    """
    images = gzip.decompress((folder / f"{split}-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((folder / f"{split}-labels-idx1-ubyte.gz").read_bytes())
    x = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28)
    y = np.frombuffer(labels, np.uint8, offset=8)
    return x.astype(np.float32) / 255, y.astype(np.int64)


def build_lstm() -> keras.Model:
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


def build_cnn() -> keras.Model:
    """Build the other model: two convolutions and two dense layers."""
    import keras

    return keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.Reshape((28, 28, 1)),
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


def build_tiny() -> keras.Model:
    """Build a model whose step is next to nothing but the exchange of gradients."""
    import keras

    return keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


#: How to build each model.
MODELS = {"lstm": build_lstm, "cnn": build_cnn, "tiny": build_tiny}


def epoch_entry(epoch: int, seconds: float, rows: int, loss: float) -> dict[str, float]:
    """Return what is printed of an epoch."""
    return {"epoch": epoch, "seconds": seconds, "rows_per_s": rows / seconds, "loss": loss}
