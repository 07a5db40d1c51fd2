"""What `fit` is fed, compared with what the plan and the reader say."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from orchestrator.data.batches import StepReader
from orchestrator.data.manifest import ROW_COLUMN
from orchestrator.data.plan import TrainingPlan
from orchestrator.data.prepare import PreparedDataset, prepare
from orchestrator.data.source import Column, Source, in_memory
from orchestrator.storage import Storage

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
    return StepReader(folder=data.folder, manifest=data.manifest, plan=plan, worker=worker, seed=1)


# S = 3 and W = 2: shares are uneven, and with B = 2 some steps have no row for worker 1.
@pytest.mark.parametrize(("workers", "batch_size"), [(1, 16), (2, 2), (2, 7), (3, 16)])
def test_elements_are_the_readers_steps_and_shares_add_up(tmp_path, workers, batch_size):
    from orchestrator.training.feed import step_dataset

    data = prepared(str(tmp_path))
    total = np.zeros(reader(data, worker=0, workers=1, batch_size=batch_size).plan.total_steps)
    for worker in range(workers):
        mine = reader(data, worker=worker, workers=workers, batch_size=batch_size)
        fed = step_dataset(mine).take(mine.plan.total_steps).as_numpy_iterator()
        for number, ((x, y, share), rows) in enumerate(zip(fed, mine.steps(), strict=True)):
            held, step = len(rows["label"]), number % mine.plan.steps_per_epoch
            assert share == np.float32(held * workers / mine.plan.rows_of_step(step))
            if held:
                np.testing.assert_array_equal(x, rows["x0"])
                np.testing.assert_array_equal(y, rows["label"])
            else:  # A lent row: real, and worth nothing.
                assert (x.shape, y.shape, share) == ((1, 4), (1,), 0)
                assert (x % 2 == y[:, None]).all()
            total[number] += share
    np.testing.assert_allclose(total, workers, rtol=1e-6)


def test_some_step_lends_a_row_there(tmp_path):
    mine = reader(prepared(str(tmp_path)), worker=1, workers=2, batch_size=2)
    assert not mine.plan.every_worker_has_rows
    assert 0 in {len(rows[ROW_COLUMN]) for rows in mine.steps()}


def test_starts_anywhere(tmp_path):
    from orchestrator.training.feed import step_dataset

    mine = reader(prepared(str(tmp_path)), worker=0, workers=2, batch_size=16)
    done = mine.plan.steps_per_epoch + 2
    tail = step_dataset(mine, epoch=1, step=2).take(mine.plan.total_steps - done)
    expected = itertools.islice(mine.steps(), done, None)
    for (x, _, share), rows in zip(tail.as_numpy_iterator(), expected, strict=True):
        np.testing.assert_array_equal(x, rows["x0"])
        assert 0 < share < 2


def test_several_features_are_a_dict(tmp_path):
    from orchestrator.training.feed import step_dataset

    mine = reader(prepared(str(tmp_path), features=2), worker=0, workers=1, batch_size=8)
    x, y, _ = next(step_dataset(mine).as_numpy_iterator())
    assert set(x) == {"x0", "x1"}
    assert x["x1"].shape == (8, 4)
    assert y.shape == (8,)


def test_one_hot_labels_are_those_of_the_same_rows(tmp_path):
    from orchestrator.training.feed import step_dataset

    mine = reader(prepared(str(tmp_path)), worker=0, workers=2, batch_size=7)
    for plain, fed in zip(
        step_dataset(mine).take(9), step_dataset(mine, one_hot=True).take(9), strict=True
    ):
        (x, y, share), (same_x, one_hot, same_share) = plain, fed
        np.testing.assert_array_equal(one_hot, np.eye(2, dtype=np.float32)[y])
        np.testing.assert_array_equal(same_x, x)
        assert same_share == share


def test_says_it_is_infinite_and_ends_loudly_all_the_same(tmp_path):
    import tensorflow as tf

    from orchestrator.training.feed import step_dataset

    mine = reader(prepared(str(tmp_path)), worker=0, workers=1, batch_size=50)
    fed = step_dataset(mine)
    assert fed.cardinality() == tf.data.INFINITE_CARDINALITY
    assert fed.element_spec[0].shape.as_list() == [None, 4]
    with pytest.raises(tf.errors.FailedPreconditionError):
        list(fed)


def test_a_damaged_shard_is_told_when_it_is_read(tmp_path):
    from orchestrator.errors import UnavailableError

    data = prepared(str(tmp_path))
    (data.folder / data.manifest.splits["train"][0].file).unlink()
    with pytest.raises(UnavailableError, match="stream-0000"):
        next(reader(data, worker=0, workers=1, batch_size=8).steps())
