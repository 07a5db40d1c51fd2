"""Metrics between the ends of epochs, kept for tables and curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from orchestrator.records.metric_log import MetricLog
from orchestrator.training.steps import Stepper

#: Most lines that an epoch has.
_LINES = 20


class RunningMetrics(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes the metrics of the epoch so far, every so many calls of the train function.

    They are those of this worker's rows: `fit` adds up the workers' at the end of an epoch only.

    Args:
        log: Where they are written.
        stepper: Knows the step.
    """

    def __init__(self, log: MetricLog, stepper: Stepper) -> None:
        super().__init__()
        self._log = log
        self._stepper = stepper
        calls = -(-stepper.plan.steps_per_epoch // stepper.steps_per_call)
        self._every = -(-calls // _LINES) * stepper.steps_per_call
        self._written = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Count from the step that the epoch goes on with."""
        self._written = self._stepper.step // self._every

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Write a line, if it is time for one; the end of an epoch is told by all workers."""
        step = self._stepper.step
        due = step // self._every > self._written and step < self._stepper.plan.steps_per_epoch
        if due and not self._stepper.idle:
            self._written = step // self._every
            self._log.append(epoch=self._stepper.epoch + 1, step=step, metrics=dict(logs or {}))
