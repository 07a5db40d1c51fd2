"""Training one model on one worker: Keras's `fit`, from where it stands to the end of the plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.data.batches import StepReader
from orchestrator.errors import RunFailedError
from orchestrator.storage import RunFolder
from orchestrator.training.callbacks import Checkpoints, News, Position
from orchestrator.training.checkpoint import Checkpoint, CheckpointStore
from orchestrator.training.feed import step_dataset
from orchestrator.training.state import write_state
from orchestrator.training.steps import Stepper

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


#: Steppers, with their iterators, until the process ends: TensorFlow waits for seconds when an
#: iterator over Python's rows is dropped, and a worker has nothing to wait for.
_KEPT: list[Stepper] = []


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
    model: keras.Model,
    strategy: tf.distribute.Strategy,
    reader: StepReader,
    run: RunFolder,
    *,
    news: News,
) -> Trained:
    """Train a model to the end of the plan, from the newest checkpoint of the run if it has one.

    Args:
        model: Compiled, with its variables, under the strategy.
        strategy: What distributes it.
        reader: This worker's rows, and the plan.
        run: Where checkpoints and TensorBoard's files go.
        news: Where progress is told.

    Raises:
        RunFailedError: The loss became NaN, or the steps taken are not the planned ones.
    """
    store = CheckpointStore(folder=run.checkpoints)
    start = store.newest() or Checkpoint(epoch=0, step=0, arrays={})
    plan, chief = reader.plan, reader.worker == 0
    with strategy.scope():
        if start.arrays:
            write_state(model, start.arrays)
        stepper = Stepper(model, plan, strategy, start_epoch=start.epoch, start_step=start.step)
        _KEPT.append(stepper)
        position = Position(stepper, start.history, news)
        model.fit(
            strategy.distribute_datasets_from_function(
                lambda _: step_dataset(reader, epoch=start.epoch, step=start.step)
            ),
            epochs=plan.epochs,
            initial_epoch=start.epoch,
            steps_per_epoch=plan.steps_per_epoch,
            verbose=0,
            callbacks=[
                position,
                Checkpoints(store, position, writes=chief, news=news),
                *(_tensorboard(run) if chief else []),
            ],
        )
    trained = Trained(
        steps=int(model.optimizer.iterations.numpy()),
        rows_seen=stepper.rows_seen,
        history=tuple(position.history),
    )
    _check_against_plan(trained, reader, start)
    return trained


def _tensorboard(run: RunFolder) -> list[Any]:
    import keras

    return [keras.callbacks.TensorBoard(log_dir=str(run.tensorboard), write_graph=False)]


def _check_against_plan(trained: Trained, reader: StepReader, start: Checkpoint) -> None:
    """Refuse a result whose steps or rows are not the planned ones (contract: equal steps)."""
    plan = reader.plan
    rows = sum(
        plan.rows_of_worker(step, worker=reader.worker)
        for epoch in range(start.epoch, plan.epochs)
        for step in range(start.step if epoch == start.epoch else 0, plan.steps_per_epoch)
    )
    if (trained.steps, trained.rows_seen) != (plan.total_steps, rows):
        raise RunFailedError(
            f"Training took {trained.steps} steps and {trained.rows_seen} rows on rank "
            f"{reader.worker}; the plan has {plan.total_steps} steps and {rows} rows.",
            hint="This is a defect of launch-job or of the job's train_step; please report it.",
        )
