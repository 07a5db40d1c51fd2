"""What happens between the steps of `fit`, as Keras callbacks."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras

from orchestrator.training.checkpoint import Checkpoint, CheckpointStore
from orchestrator.training.monitor import Update, UpdateKind
from orchestrator.training.state import read_state
from orchestrator.training.steps import Stepper

if TYPE_CHECKING:
    from ray.actor import ActorHandle

#: News of steps is sent no more often than this.
_STEP_NEWS_S = 0.2


class News:
    """Sends updates to the monitor, from rank 0 only.

    Args:
        monitor: Actor that takes them; None sends nothing.
    """

    def __init__(self, monitor: ActorHandle[Any] | None) -> None:
        self._monitor = monitor
        self._last_step_s = 0.0

    def send(self, kind: UpdateKind, **details: Any) -> None:
        """Send an update."""
        now = time.time()
        if self._monitor is None or (kind == "step" and now - self._last_step_s < _STEP_NEWS_S):
            return
        if kind == "step":
            self._last_step_s = now
        self._monitor.publish.remote(Update(kind=kind, time_s=now, **details))


class Position(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the stepper at the epoch of `fit`, and the history of epochs.

    Args:
        stepper: What takes the steps.
        history: Metrics of the epochs before.
        news: Where steps and epochs are told.
    """

    def __init__(
        self, stepper: Stepper, history: tuple[Mapping[str, float], ...], news: News
    ) -> None:
        super().__init__()
        #: Metrics of every epoch that is done.
        self.history = list(history)
        self._stepper = stepper
        self._news = news
        self._began_s = 0.0
        self._first = True

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Go to the epoch."""
        self._stepper.begin_epoch(epoch)
        self._began_s = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Tell the metrics so far."""
        place = {"epoch": self._stepper.epoch, "step": self._stepper.step}
        if self._first:
            self._first = False
            self._news.send("first_step", **place)
        self._news.send("step", metrics=dict(logs or {}), **place)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Keep the metrics of the epoch, which are those of all workers."""
        seconds = time.perf_counter() - self._began_s
        metrics = {name: float(value) for name, value in (logs or {}).items()}
        rows_per_s = self._stepper.plan.rows / seconds
        entry = {"epoch": epoch + 1, **metrics, "seconds": seconds, "rows_per_s": rows_per_s}
        self.history.append(entry)
        self._news.send("epoch", epoch=epoch, step=self._stepper.step, metrics=entry)


class Checkpoints(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes a checkpoint at the end of each epoch.

    Args:
        store: Where checkpoints go.
        position: Knows the history.
        writes: Whether this worker is the one that writes. All of them read the state, since
            reading some of it is a sum over all.
        news: Where checkpoints are told.
    """

    def __init__(
        self, store: CheckpointStore, position: Position, *, writes: bool, news: News
    ) -> None:
        super().__init__()
        self._store = store
        self._position = position
        self._writes = writes
        self._news = news

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write the state after an epoch."""
        arrays = read_state(self.model)
        if not self._writes:
            return
        checkpoint = Checkpoint(
            epoch=epoch + 1, step=0, arrays=arrays, history=tuple(self._position.history)
        )
        self._store.save(checkpoint)
        self._news.send("checkpoint", epoch=epoch + 1)
