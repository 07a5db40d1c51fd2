"""What happens between the steps of `fit`, as Keras callbacks."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras

from orchestrator.errors import RunFailedError
from orchestrator.records import timeline
from orchestrator.training.callback_state import (
    read_callbacks,
    settle_callbacks,
    write_callbacks,
)
from orchestrator.training.checkpoint import Checkpoint
from orchestrator.training.checkpoint_writer import CheckpointWriter
from orchestrator.training.compiled import CompiledPrograms
from orchestrator.training.mailbox import Update, UpdateKind
from orchestrator.training.pause import PausedError
from orchestrator.training.state import TrainingState
from orchestrator.training.steps import Stepper

if TYPE_CHECKING:
    from ray.actor import ActorHandle

#: News of steps is sent no more often than this: it takes processor time in three processes.
_STEP_NEWS_S = 0.5


class News:
    """Sends updates to the mailbox, from rank 0 only.

    Args:
        mailbox: Actor that takes them; None sends nothing.
    """

    def __init__(self, mailbox: ActorHandle[Any] | None) -> None:
        self._mailbox = mailbox
        self._last_step_s = 0.0

    def send(self, kind: UpdateKind, **details: Any) -> None:
        """Send an update."""
        now = time.time()
        if self._mailbox is None or (kind == "step" and now - self._last_step_s < _STEP_NEWS_S):
            return
        if kind == "step":
            self._last_step_s = now
        self._mailbox.publish.remote(Update(kind=kind, time_s=now, **details))

    def send_phases(self) -> None:
        """Send the phases that this process has noted."""
        for phase in timeline.take_noted():
            self.send("phase", phase=phase)


class Publishing(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps what XLA has compiled, once it has run.

    Args:
        programs: What there is.
    """

    def __init__(self, programs: CompiledPrograms) -> None:
        super().__init__()
        self._programs = programs
        self._called = False

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """After the first call, there is the program of a full step."""
        if not self._called:
            self._called = True
            self._programs.publish()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """The last step of an epoch may have fewer rows, and a program of its own."""
        self._programs.publish()


class Position(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the stepper at the epoch of `fit`, and the history of epochs.

    Args:
        stepper: What takes the steps.
        start: Where training begins.
        news: Where steps and epochs are told.
    """

    def __init__(self, stepper: Stepper, start: Checkpoint, news: News) -> None:
        super().__init__()
        #: Metrics of every epoch that is done.
        self.history = list(start.history)
        self._stepper = stepper
        self._news = news
        self._before_s = start.epoch_seconds
        self._began_s = 0.0
        #: When the first call began, and when it ended, in seconds since 1970.
        self._called_s: float | None = None
        self._trained_s: float | None = None

    @property
    def epoch_seconds(self) -> float:
        """Seconds spent on this epoch, by workers before this one too."""
        return self._before_s + time.perf_counter() - self._began_s

    def on_train_begin(self, logs: Any = None) -> None:
        """Tell the epochs that were done before: whoever listens may have missed some."""
        for entry in self.history:
            self._news.send("epoch", epoch=int(entry["epoch"]) - 1, metrics=entry)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Go to the epoch."""
        if epoch != self._stepper.epoch:
            self._before_s = 0.0
        self._stepper.begin_epoch(epoch)
        self._began_s = time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Note when the first call begins."""
        if self._called_s is None:
            self._called_s = time.time()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Tell the metrics so far."""
        if self._stepper.idle:
            return
        place = {"epoch": self._stepper.epoch, "step": self._stepper.step}
        if self._trained_s is None and self._called_s is not None:
            self._trained_s = time.time()
            timeline.note("first step", self._called_s, self._trained_s)
            self._news.send("first_step", **place)
            self._news.send_phases()
        self._news.send("step", metrics=dict(logs or {}), **place)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Keep the metrics of the epoch, which are those of all workers.

        Raises:
            RunFailedError: The epoch is not over: a callback has ended training too early.
        """
        step, steps = self._stepper.step, self._stepper.plan.steps_per_epoch
        if step < steps:
            raise RunFailedError(
                f"A callback ended training in the middle of epoch {epoch + 1}, after step {step} "
                f"of {steps}.",
                hint="Set stop_training in on_epoch_end, where all workers see the same metrics.",
            )
        seconds = self.epoch_seconds
        metrics = {name: float(value) for name, value in (logs or {}).items()}
        rows_per_s = self._stepper.plan.rows / seconds
        entry = {"epoch": epoch + 1, **metrics, "seconds": seconds, "rows_per_s": rows_per_s}
        self.history.append(entry)
        self._news.send("epoch", epoch=epoch, step=self._stepper.step, metrics=entry)

    def on_train_end(self, logs: Any = None) -> None:
        """Note how long the steps after the first call took."""
        if self._trained_s is not None:
            timeline.note("training", self._trained_s)


class Checkpoints(keras.callbacks.Callback):  # type: ignore[misc]
    """Takes training up where a checkpoint left it, and hands new ones to the writer.

    It belongs behind all other callbacks: `fit` calls them in order, so it finds the state that the
    others have after an event, and sets theirs after they have reset it.

    Args:
        state: The model's variables.
        position: Knows the history.
        stepper: Knows the step.
        callbacks: The job's callbacks.
        start: Where training begins.
        every: Steps of an epoch between checkpoints; None: only at the end of each.
        writer: Writes them; None on every worker but the first. All of them read the state, since
            reading metrics takes all.
    """

    def __init__(
        self,
        state: TrainingState,
        position: Position,
        stepper: Stepper,
        callbacks: Sequence[keras.callbacks.Callback],
        start: Checkpoint,
        *,
        every: int | None,
        writer: CheckpointWriter | None,
    ) -> None:
        super().__init__()
        self._state = state
        self._position = position
        self._stepper = stepper
        self._callbacks = callbacks
        self._start = start
        self._every = every
        self._writer = writer

    def on_train_begin(self, logs: Any = None) -> None:
        """Give the job's callbacks back what they remembered."""
        settle_callbacks(self._callbacks)
        if self._start.arrays:
            write_callbacks(self._callbacks, self._start.callbacks, self._start.arrays)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Give the metrics back what they had counted of an epoch that was begun before."""
        if self._start.step and epoch == self._start.epoch:
            self._state.write_metrics(self._start.arrays)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Write a checkpoint in the middle of an epoch, if it is time for one.

        Raises:
            PausedError: A worker wished to pause, and the checkpoint is written.
        """
        step = self._stepper.step
        if self._stepper.idle or step == self._stepper.plan.steps_per_epoch:
            return
        due = self._every is not None and step % self._every == 0
        if due or self._stepper.pausing:
            self._checkpoint(self._stepper.epoch, step, self._position.epoch_seconds)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write the state after an epoch.

        Raises:
            PausedError: As between steps, unless training is over anyway.
        """
        self._checkpoint(epoch + 1, 0, 0.0)

    def on_train_end(self, logs: Any = None) -> None:
        """Wait for the last checkpoint."""
        if self._writer is not None:
            self._writer.wait()

    def _checkpoint(self, epoch: int, step: int, epoch_seconds: float) -> None:
        arrays = self._state.read()
        over = self.model.stop_training or epoch == self._stepper.plan.epochs
        if self._writer is not None:
            states, more = read_callbacks(self._callbacks)
            checkpoint = Checkpoint(
                epoch=epoch,
                step=step,
                workers=self._stepper.plan.workers,
                arrays={**arrays, **more},
                callbacks=tuple(states),
                history=tuple(self._position.history),
                epoch_seconds=epoch_seconds,
                stopped=bool(self.model.stop_training),
            )
            self._writer.write(checkpoint)
        if self._stepper.pausing and not over:
            if self._writer is not None:
                self._writer.wait()
            raise PausedError
