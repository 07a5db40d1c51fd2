"""What `fit` is fed, compared with what the plan and the reader say."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from orchestrator.data.batches import StepReader
from orchestrator.data.cache import StoredShards
from orchestrator.data.manifest import ROW_COLUMN
from orchestrator.data.plan import TrainingPlan
from orchestrator.data.prepare import PreparedDataset, prepare
from orchestrator.data.source import Column, Source, in_memory
from orchestrator.storage.storage import Storage

pytestmark = pytest.mark.slow


def prepared(path: str, *, features: int = 1, rows: int = 50, streams: int = 3) -> PreparedDataset:
    numbers = np.arange(rows)
    names = [f"x{i}" for i in range(features)]
    columns = {name: np.repeat(numbers[:, None], 4, 1).astype(np.float32) for name in names}
    split = in_memory({**columns, "label": numbers % 2})
    source = Source(
        features=tuple(Column(name=name, dtype="float32", shape=(4,)) for name in names),
        label=Column(name="label", dtype="int64"),
        classes=("even", "odd"),
        splits={"train": split, "test": split},
        digest=f"{features} {rows}",
        origin="made up",
    )
    return prepare("made-up", source, streams=streams, storage=Storage.at(path))


def reader(data: PreparedDataset, *, worker: int, workers: int, batch_size: int) -> StepReader:
    plan = TrainingPlan(
        rows=data.manifest.rows("train"),
        streams=data.manifest.streams,
        workers=workers,
        batch_size=batch_size,
        epochs=2,
    )
    return StepReader(
        shards=StoredShards(data.folder, data.manifest), plan=plan, worker=worker, seed=1
    )


def fed(mine: StepReader, *, one_hot: bool = False, **options: int) -> list[tuple]:
    """Return the elements of each call, with the call."""
    from orchestrator.training.calls import CallPlan
    from orchestrator.training.feed import call_dataset

    calls = CallPlan(plan=mine.plan, worker=mine.worker, **options)
    elements = call_dataset(mine, calls, one_hot=one_hot).take(calls.total).as_numpy_iterator()
    return [(calls.number(number), *element) for number, element in enumerate(elements)]


# S = 3 and W = 2: shares are uneven, and with B = 2 some steps have no row for worker 1.
@pytest.mark.parametrize(("workers", "batch_size"), [(1, 16), (2, 2), (2, 7), (3, 16)])
def test_elements_are_the_rows_of_the_calls_steps(tmp_path, workers, batch_size):
    data = prepared(str(tmp_path))
    for worker in range(workers):
        mine = reader(data, worker=worker, workers=workers, batch_size=batch_size)
        steps = list(mine.steps())
        for call, x, y in fed(mine):
            at = call.epoch * mine.plan.steps_per_epoch
            for rows in steps[at + call.first : at + call.last]:
                if held := len(rows["label"]):
                    np.testing.assert_array_equal(x[:held], rows["x0"])
                    np.testing.assert_array_equal(y[:held], rows["label"])
                else:  # A lent row, and a real one.
                    held = 1
                    assert (x[:1] % 2 == y[:1, None]).all()
                x, y = x[held:], y[held:]
            assert len(x) == len(y) == 0


def test_some_step_lends_a_row_there(tmp_path):
    mine = reader(prepared(str(tmp_path)), worker=1, workers=2, batch_size=2)
    assert not mine.plan.every_worker_has_rows
    assert 0 in {len(rows[ROW_COLUMN]) for rows in mine.steps()}


def test_starts_anywhere(tmp_path):
    mine = reader(prepared(str(tmp_path)), worker=0, workers=2, batch_size=16)
    done = mine.plan.steps_per_epoch + 2
    tail = np.concatenate([x for _, x, _ in fed(mine, start_epoch=1, start_step=2)])
    expected = [rows["x0"] for rows in itertools.islice(mine.steps(), done, None)]
    np.testing.assert_array_equal(tail, np.concatenate(expected))


def test_several_features_are_a_dict(tmp_path):
    mine = reader(prepared(str(tmp_path), features=2), worker=0, workers=1, batch_size=8)
    _, x, y = fed(mine, most_steps=1)[0]
    assert set(x) == {"x0", "x1"}
    assert x["x1"].shape == (8, 4)
    assert y.shape == (8,)


def test_one_hot_labels_are_those_of_the_same_rows(tmp_path):
    mine = reader(prepared(str(tmp_path)), worker=0, workers=2, batch_size=7)
    for (_, x, y), (_, same_x, one_hot) in zip(fed(mine), fed(mine, one_hot=True), strict=True):
        np.testing.assert_array_equal(one_hot, np.eye(2, dtype=np.float32)[y])
        np.testing.assert_array_equal(same_x, x)


@pytest.mark.parametrize("one_hot", [False, True])
def test_has_no_end_and_no_rows_after_the_last_call(tmp_path, one_hot):
    # A GPU's elements are fetched ahead, so that the dataset is asked for more than the calls take.
    import tensorflow as tf

    from orchestrator.training.calls import CallPlan
    from orchestrator.training.feed import call_dataset

    mine = reader(prepared(str(tmp_path), features=2), worker=0, workers=1, batch_size=50)
    calls = CallPlan(plan=mine.plan, worker=0)
    dataset = call_dataset(mine, calls, one_hot=one_hot)
    assert dataset.cardinality() == tf.data.INFINITE_CARDINALITY
    assert dataset.element_spec[0]["x0"].shape.as_list() == [None, 4]
    sizes = [(len(x["x1"]), len(y)) for x, y in dataset.take(calls.total + 3)]
    assert sizes == [(50, 50)] * calls.total + [(0, 0)] * 3


@pytest.fixture
def stepping(tmp_path):
    """Returns a function that makes a stepper over steps of 10 rows, and its iterator."""
    import keras
    import tensorflow as tf

    from orchestrator.training.calls import CallPlan
    from orchestrator.training.feed import call_dataset
    from orchestrator.training.steps import Stepper

    def make(*, skipped=0, **options):
        mine = reader(prepared(str(tmp_path)), worker=0, workers=1, batch_size=10)
        calls = CallPlan(plan=mine.plan, worker=0)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy")
        model.optimizer.build(model.trainable_variables)
        stepper = Stepper(model, calls, tf.distribute.get_strategy(), **options)
        return stepper, iter(call_dataset(mine, calls).skip(skipped * calls.total))

    return make


def test_steps_without_their_planned_rows_are_refused(stepping):
    import tensorflow as tf

    stepper, rows = stepping(skipped=1)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Not the planned rows"):
        stepper(rows)


@pytest.mark.parametrize("wishes", [False, True])
def test_who_wishes_to_pause_takes_one_step_more(stepping, wishes):
    stepper, rows = stepping(wishes_pause=lambda: wishes)
    stepper(rows)
    taken = 1 if wishes else 5
    assert (stepper.step, stepper.rows_seen, stepper.pausing) == (taken, 10 * taken, wishes)
    assert int(stepper.model.optimizer.iterations) == taken


def test_a_damaged_shard_is_told_when_it_is_read(tmp_path):
    from orchestrator.errors import UnavailableError

    data = prepared(str(tmp_path))
    (data.folder / data.manifest.splits["train"][0].file).unlink()
    with pytest.raises(UnavailableError, match="stream-0000"):
        next(reader(data, worker=0, workers=1, batch_size=8).steps())
