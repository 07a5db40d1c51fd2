"""Metrics of epochs, as TensorBoard reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras


class EpochScalars(keras.callbacks.TensorBoard):  # type: ignore[misc]
    """Writes the metrics of each epoch for TensorBoard.

    Keras's own one also makes a summary of each call's metrics, and throws it away.

    Args:
        folder: Where they are written.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(log_dir=str(folder), write_graph=False)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Do nothing."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Do nothing."""
