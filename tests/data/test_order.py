from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.data.order import RowOrder, deal_block, permutation, stream_rows

SEEDS = st.integers(0, 2**63)


@given(rows=st.integers(0, 500), streams=st.integers(1, 20), seed=SEEDS, block=st.integers(0, 99))
def test_streams_get_equal_shares(rows, streams, seed, block):
    dealt = deal_block(block=block, rows=rows, streams=streams, seed=seed)
    counts = np.bincount(dealt, minlength=streams)
    assert len(dealt) == rows
    assert counts.tolist() == [
        stream_rows(rows=rows, streams=streams, stream=s) for s in range(streams)
    ]
    assert counts.max() - counts.min() <= 1


@given(rows=st.integers(1, 200), streams=st.integers(1, 20), seed=SEEDS)
def test_each_round_goes_to_all_streams(rows, streams, seed):
    dealt = deal_block(block=0, rows=rows, streams=streams, seed=seed)
    for first in range(0, rows, streams):
        part = dealt[first : first + streams].tolist()
        assert sorted(part) == list(range(len(part)))


def test_dealing_is_random_and_depends_on_block_and_seed():
    deals = {
        (block, seed): tuple(deal_block(block=block, rows=64, streams=8, seed=seed))
        for block in (0, 1)
        for seed in (0, 1)
    }
    assert len(set(deals.values())) == 4
    assert deals[0, 0] != tuple(list(range(8)) * 8)


@given(size=st.integers(0, 300), key=st.tuples(SEEDS, st.integers(0, 99), st.integers(0, 99)))
def test_permutation_is_one_and_depends_on_the_key_alone(size, key):
    first = permutation(size, key)
    np.random.default_rng(7).random(3)  # Other randomness changes nothing.
    assert sorted(first.tolist()) == list(range(size))
    assert first.tolist() == permutation(size, key).tolist()


def test_permutation_is_the_same_for_ever():
    # A run's order of rows is part of its result: resumed by a later release, it must not change.
    assert permutation(10, (1, 2, 3)).tolist() == [1, 8, 2, 4, 6, 5, 0, 9, 7, 3]


@given(
    rows=st.integers(0, 300),
    streams=st.integers(1, 17),
    workers=st.integers(1, 17),
    row=st.integers(0, 300),
)
def test_rows_before_counts_what_the_definition_says(rows, streams, workers, row):
    if workers > streams:
        return
    order = RowOrder(rows=rows, streams=streams, workers=workers)
    for worker in range(workers):
        counted = sum((g % streams) % workers == worker for g in range(row))
        assert order.rows_before(row, worker=worker) == counted


@given(streams=st.integers(1, 40), workers=st.integers(1, 40))
def test_each_stream_has_one_worker(streams, workers):
    if workers > streams:
        return
    order = RowOrder(rows=1, streams=streams, workers=workers)
    owned = [s for worker in range(workers) for s in order.streams_of(worker)]
    assert sorted(owned) == list(range(streams))
