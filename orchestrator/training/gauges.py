"""What Ray exports to Prometheus of each rank while it trains.

They appear as `ray_launch_job_…`, with run, job and rank as labels, at the metrics port of the node
that the rank is on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import keras

from orchestrator.training.gauge_names import GAUGES
from orchestrator.training.steps import Stepper

#: Ray collects what was set every few seconds.
_EVERY_S = 1.0


class Gauges(keras.callbacks.Callback):  # type: ignore[misc]
    """Sets the gauges of one rank.

    Args:
        stepper: Knows the step, and how many rows this rank has trained on.
        labels: Run, job and rank.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        stepper: Stepper,
        labels: Mapping[str, str],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        from ray.util.metrics import Gauge

        self._stepper = stepper
        self._clock = clock
        self._gauges: dict[str, Any] = {}
        for name, description in GAUGES.items():
            gauge = Gauge(name, description=description, tag_keys=tuple(labels))
            gauge.set_default_tags(dict(labels))
            self._gauges[name] = gauge
        self._last: tuple[float, int, int] | None = None

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Set them, now and then."""
        now, rows = self._clock(), self._stepper.rows_seen
        done = self._stepper.epoch * self._stepper.plan.steps_per_epoch + self._stepper.step
        if self._last is None:
            self._last = (now, done, rows)
            return
        before, steps_before, rows_before = self._last
        if now - before < _EVERY_S or done <= steps_before:
            return
        self._last = (now, done, rows)
        self._set(
            {
                "rows_per_s": (rows - rows_before) / (now - before),
                "step_time_s": (now - before) / (done - steps_before),
                **(logs or {}),
            }
        )

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Set the metrics of the epoch, which are those of all ranks."""
        self._set(logs or {})

    def _set(self, values: Mapping[str, float]) -> None:
        for name, value in {**values, "epoch": self._stepper.epoch + 1}.items():
            if gauge := self._gauges.get(f"launch_job_{name}"):
                gauge.set(float(value))
