from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.data.batches import StepReader, evaluation_batches
from orchestrator.data.cache import StoredShards
from orchestrator.data.manifest import ROW_COLUMN
from orchestrator.data.plan import TrainingPlan
from orchestrator.data.prepare import PreparedDataset, prepare
from orchestrator.storage.storage import Storage


def readers(prepared: PreparedDataset, workers: int, batch_size: int, *, seed=5, epochs=2):
    plan = TrainingPlan(
        rows=prepared.manifest.rows("train"),
        streams=prepared.manifest.streams,
        workers=workers,
        batch_size=batch_size,
        epochs=epochs,
    )
    return [
        StepReader(
            shards=StoredShards(prepared.folder, prepared.manifest), plan=plan, worker=w, seed=seed
        )
        for w in range(workers)
    ]


def row_numbers(reader: StepReader, **position: int) -> list[list[int]]:
    return [step[ROW_COLUMN].tolist() for step in reader.steps(**position)]


@st.composite
def cases(draw: st.DrawFn) -> tuple[int, int, int, int]:
    workers = draw(st.integers(1, 5))
    streams, rows = draw(st.integers(workers, 9)), draw(st.integers(workers, 90))
    return rows, streams, workers, draw(st.integers(workers, 40))


@pytest.fixture(scope="module")
def prepared_of(make_source):
    with tempfile.TemporaryDirectory() as folder:
        yield lambda rows, streams: prepare(
            "made-up", make_source(train=rows), streams=streams, storage=Storage.at(folder)
        )


@settings(max_examples=60, deadline=None)
@given(case=cases())
def test_any_number_of_workers_sees_the_same_global_batches(prepared_of, case):
    rows, streams, workers, batch_size = case
    prepared = prepared_of(rows, streams)
    (alone,) = readers(prepared, 1, batch_size)
    together = readers(prepared, workers, batch_size)
    steps = row_numbers(alone)
    parts = [row_numbers(reader) for reader in together]
    for number, step in enumerate(steps):
        held = [part[number] for part in parts]
        # Row g of the epoch belongs to worker (g mod S) mod W; each keeps the order of g.
        first = number % alone.plan.steps_per_epoch * batch_size
        queues = [iter(part) for part in held]
        merged = [next(queues[(first + i) % streams % workers]) for i in range(len(step))]
        assert merged == step
        assert sum(map(len, held)) == len(step)
    for epoch in range(2):
        size = alone.plan.steps_per_epoch
        seen = [row for step in steps[epoch * size : (epoch + 1) * size] for row in step]
        assert sorted(seen) == list(range(rows))


@settings(max_examples=40, deadline=None)
@given(case=cases(), at=st.floats(0, 1, exclude_max=True), worker=st.integers(0, 4))
def test_starting_in_the_middle_gives_the_same_tail(prepared_of, case, at, worker):
    rows, streams, workers, batch_size = case
    reader = readers(prepared_of(rows, streams), workers, batch_size)[worker % workers]
    whole = row_numbers(reader)
    start = int(at * len(whole))
    epoch, step = divmod(start, reader.plan.steps_per_epoch)
    assert row_numbers(reader, epoch=epoch, step=step) == whole[start:]


@settings(max_examples=40, deadline=None)
@given(case=cases(), at=st.floats(0, 1), others=st.integers(1, 5))
def test_cut_anywhere_and_continued_by_others_each_row_is_given_once(prepared_of, case, at, others):
    rows, streams, workers, batch_size = case
    others = min(others, streams, batch_size, rows)
    prepared = prepared_of(rows, streams)
    before, after = (readers(prepared, count, batch_size) for count in (workers, others))
    size = before[0].plan.steps_per_epoch
    cut = round(at * 2 * size)
    epoch, step = divmod(cut, size)
    heads = [row_numbers(reader)[:cut] for reader in before]
    tails = [row_numbers(reader, epoch=epoch, step=step) for reader in after]
    given_out = [sorted(chain(*parts)) for parts in zip(*heads, strict=True)]
    given_out += [sorted(chain(*parts)) for parts in zip(*tails, strict=True)]
    (alone,) = readers(prepared, 1, batch_size)
    assert given_out == [sorted(step) for step in row_numbers(alone)]
    for number in range(2):
        seen = [row for step in given_out[number * size : (number + 1) * size] for row in step]
        assert sorted(seen) == list(range(rows))


@settings(max_examples=60, deadline=None)
@given(case=cases(), cut=st.data())
def test_steps_that_are_read_together_are_those_that_are_read_alone(prepared_of, case, cut):
    rows, streams, workers, batch_size = case
    for reader in readers(prepared_of(rows, streams), workers, batch_size):
        size = reader.plan.steps_per_epoch
        first = cut.draw(st.integers(0, size - 1))
        last = cut.draw(st.integers(first + 1, size))
        alone = [row for step in row_numbers(reader)[size + first : size + last] for row in step]
        held = reader.read(epoch=1, first=first, last=last, columns=[ROW_COLUMN])
        assert {name: rows.tolist() for name, rows in held.items()} == {ROW_COLUMN: alone}


def test_threads_that_read_at_once_read_what_one_reads(prepared_of):
    (reader,) = readers(prepared_of(90, 4), 1, 7, epochs=20)
    (other,) = readers(prepared_of(90, 4), 1, 7, epochs=20)
    size = reader.plan.steps_per_epoch

    def read(number: int) -> list[int]:
        epoch, step = divmod(number, size)
        held = reader.read(epoch=epoch, first=step, last=step + 1, columns=[ROW_COLUMN])
        return held[ROW_COLUMN].tolist()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, range(20 * size))) == row_numbers(other)


def test_row_g_is_row_g_div_s_of_the_permutation_of_stream_g_mod_s(prepared_of):
    prepared = prepared_of(50, 4)
    (reader,) = readers(prepared, 1, 8)
    order = [row for step in row_numbers(reader) for row in step][50:]
    streams = dict(evaluation_batches_of(prepared, split="train"))
    for g, row in enumerate(order):
        picked = reader.plan.order.stream_permutation(seed=5, epoch=1, stream=g % 4)
        assert row == streams[g % 4][ROW_COLUMN][picked[g // 4]]


def test_columns_of_a_row_stay_together(prepared_of):
    for reader in readers(prepared_of(77, 5), 3, 16):
        for step in reader.steps():
            np.testing.assert_array_equal(step["image"][:, 1, 2], step[ROW_COLUMN])
            np.testing.assert_array_equal(step["label"], step[ROW_COLUMN] % 5)


def test_epochs_and_seeds_have_orders_of_their_own(prepared_of):
    prepared = prepared_of(90, 4)
    (first,), (other,) = readers(prepared, 1, 90), readers(prepared, 1, 90, seed=6)
    orders = [*row_numbers(first), *row_numbers(other), list(range(90))]
    assert len({tuple(order) for order in orders}) == 5


def test_any_row_is_a_row_of_the_workers_own(prepared_of):
    for reader in readers(prepared_of(5, 9), 5, 5):
        (row,) = reader.any_row()[ROW_COLUMN].tolist()
        own = {row for step in row_numbers(reader) for row in step}
        assert row in own


def evaluation_batches_of(prepared, *, workers=1, **options):
    return [
        item
        for worker in range(workers)
        for item in evaluation_batches(
            StoredShards(prepared.folder, prepared.manifest),
            worker=worker,
            workers=workers,
            **options,
        )
    ]


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
def test_each_test_row_is_evaluated_once_in_the_same_batches(prepared_of, workers):
    prepared = prepared_of(90, 5)
    cut = {
        (stream, tuple(rows[ROW_COLUMN].tolist()))
        for stream, rows in evaluation_batches_of(prepared, workers=workers, batch_rows=2)
    }
    alone = {
        (stream, tuple(rows[ROW_COLUMN].tolist()))
        for stream, rows in evaluation_batches_of(prepared, batch_rows=2)
    }
    assert cut == alone
    assert sorted(row for _, rows in cut for row in rows) == list(range(23))


def test_reads_nothing_from_streams_of_others(prepared_of, tmp_path):
    prepared = prepared_of(40, 4)
    copy = tmp_path / "copy"
    (copy / "train").mkdir(parents=True)
    for shard in prepared.manifest.splits["train"][1::2]:
        (copy / shard.file).write_bytes((prepared.folder / shard.file).read_bytes())
    mine = readers(prepared, 2, 8)[1]
    elsewhere = PreparedDataset(folder=Path(copy), manifest=prepared.manifest, cached=True)
    assert row_numbers(readers(elsewhere, 2, 8)[1]) == row_numbers(mine)
