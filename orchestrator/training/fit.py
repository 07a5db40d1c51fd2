"""Training one model on one worker: Keras's `fit`, from where it stands to the end of the plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.catalog.definition import Training
from orchestrator.data.batches import StepReader
from orchestrator.errors import RunFailedError
from orchestrator.records.metric_log import MetricLog
from orchestrator.storage.attempt import AttemptFolder
from orchestrator.training.callbacks import Checkpoints, News, Position
from orchestrator.training.calls import CallPlan, most_steps
from orchestrator.training.checkpoint import Checkpoint, CheckpointStore
from orchestrator.training.checkpoint_writer import CheckpointWriter
from orchestrator.training.feed import call_dataset
from orchestrator.training.pause import PauseWish
from orchestrator.training.running import RunningMetrics
from orchestrator.training.scalars import EpochScalars
from orchestrator.training.state import TrainingState
from orchestrator.training.steps import Stepper

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from orchestrator.training.neighbours import Neighbours


#: Steppers, with their iterators, until the process ends: TensorFlow waits for seconds when an
#: iterator over Python's rows is dropped, and a worker has nothing to wait for.
_KEPT: list[Stepper] = []

#: Where a run begins that has no checkpoint.
BEGINNING = Checkpoint(epoch=0, step=0)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What training came to."""

    #: Steps that the optimizer has taken in the whole run.
    steps: int
    #: Rows that this worker has trained on since it started.
    rows_seen: int
    #: Metrics of each epoch of the run.
    history: tuple[Mapping[str, float], ...]


def train(
    training: Training,
    strategy: tf.distribute.Strategy,
    reader: StepReader,
    attempt: AttemptFolder,
    *,
    news: News,
    start: Checkpoint = BEGINNING,
    checkpoint_every: int | None = None,
    keep: int = 2,
    neighbours: Neighbours | None = None,
    beside: Callable[[Stepper], Sequence[keras.callbacks.Callback]] = lambda stepper: (),
) -> Trained:
    """Train a model from a checkpoint to the end of the plan, or until a callback ends it.

    Args:
        training: The model, compiled, with its variables, under the strategy; and its callbacks.
        strategy: What distributes it.
        reader: This worker's rows, and the plan.
        attempt: Where a pause is requested; checkpoints and TensorBoard's files go to its run.
        news: Where progress is told.
        start: Where it begins.
        checkpoint_every: Steps of an epoch between checkpoints; None: one at the end of each.
        keep: How many of the newest checkpoints to keep, beside the best.
        neighbours: The run's other workers on this machine; None: it has none.
        beside: Gives more callbacks, of which a checkpoint holds nothing.

    Raises:
        PausedError: A worker wished to pause; a checkpoint holds all that was done.
        RunFailedError: The loss became NaN, or the steps taken are not the planned ones.
        UnavailableError: The storage can't be written, or a shard can't be read.
    """
    model, plan, chief = training.model, reader.plan, reader.worker == 0
    run = attempt.run
    wish = PauseWish(attempt, rank=reader.worker)
    store = CheckpointStore(folder=run.checkpoints, keep=keep)
    callbacks = list(training.callbacks)
    with strategy.scope(), wish.heeded():
        state = TrainingState(model, strategy)
        if start.arrays:
            state.write(start.arrays)
        calls = _calls(reader, start, halt_every=checkpoint_every)
        stepper = Stepper(model, calls, strategy, wishes_pause=wish, neighbours=neighbours)
        _KEPT.append(stepper)
        position = Position(stepper, start, news)
        checkpoints = Checkpoints(
            state,
            position,
            stepper,
            callbacks,
            start,
            every=checkpoint_every,
            writer=_writer(store, news) if chief else None,
        )
        model.fit(
            strategy.distribute_datasets_from_function(
                lambda _: call_dataset(reader, calls, one_hot=training.one_hot)
            ),
            epochs=plan.epochs,
            # Of training that a callback has ended, only the end is left to do.
            initial_epoch=plan.epochs if start.stopped else start.epoch,
            steps_per_epoch=calls.most_per_epoch,
            verbose=0,
            callbacks=[
                position,
                *beside(stepper),
                *callbacks,
                *(_records(attempt, stepper) if chief else []),
                checkpoints,
            ],
        )
    trained = Trained(
        steps=int(model.optimizer.iterations.numpy()),
        rows_seen=stepper.rows_seen,
        history=tuple(position.history),
    )
    _check_against_plan(trained, reader, start, ended_early=start.stopped or model.stop_training)
    return trained


def _calls(reader: StepReader, start: Checkpoint, *, halt_every: int | None) -> CallPlan:
    columns = (*reader.manifest.features, reader.manifest.label)
    return CallPlan(
        plan=reader.plan,
        worker=reader.worker,
        most_steps=most_steps(reader.plan, columns),
        halt_every=halt_every,
        start_epoch=start.epoch,
        start_step=start.step,
    )


def _writer(store: CheckpointStore, news: News) -> CheckpointWriter:
    def tell(written: Checkpoint) -> None:
        news.send("checkpoint", epoch=written.epoch, step=written.step)

    return CheckpointWriter(store, tell)


def _records(attempt: AttemptFolder, stepper: Stepper) -> list[Any]:
    """Return what writes metrics down on the one worker that does."""
    return [
        RunningMetrics(MetricLog(path=attempt.metrics), stepper),
        EpochScalars(attempt.run.tensorboard),
    ]


def _check_against_plan(
    trained: Trained, reader: StepReader, start: Checkpoint, *, ended_early: bool
) -> None:
    """Refuse a result whose steps or rows are not the planned ones (contract: equal steps)."""
    plan = reader.plan
    epochs = len(trained.history) if ended_early else plan.epochs
    steps = plan.steps_per_epoch * epochs
    rows = sum(
        plan.rows_of_worker(step, worker=reader.worker)
        for epoch in range(start.epoch, epochs)
        for step in range(start.step if epoch == start.epoch else 0, plan.steps_per_epoch)
    )
    if (trained.steps, trained.rows_seen) != (steps, rows):
        raise RunFailedError(
            f"Training took {trained.steps} steps and {trained.rows_seen} rows on rank "
            f"{reader.worker}; the plan has {steps} steps and {rows} rows.",
            hint="This is a defect of launch-job or of the job's train_step; please report it.",
        )
