"""Sums through memory that the workers of one machine share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.training.rendezvous import meet
from orchestrator.training.shared_sum import Exchange, NeighbourLostError, SharedSum


@pytest.fixture
def exchanges(tmp_path):
    """Makes what each worker holds, and its side of an exchange: here, threads are workers."""
    made = []

    def make(workers, length, dtype):
        kind = np.dtype(dtype)
        shape = (2, workers, length)
        size = 2 * workers * length * kind.itemsize
        with ThreadPoolExecutor(workers) as pool:
            found = pool.map(
                lambda rank: meet(tmp_path, "sum", who=rank, count=workers, size=size),
                range(workers),
            )
            meetings = list(found)
        made.extend(meetings)
        sides = [Exchange(meeting, rank, shape, kind) for rank, meeting in enumerate(meetings)]
        return meetings, sides

    yield make
    for meeting in made:
        close(meeting)


def close(meeting):
    """Close what a worker holds, as its end does."""
    for peer in meeting.peers.values():
        peer.close()


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("workers", [2, 3, 5])
def test_each_step_sums_its_own_vectors_in_the_order_of_ranks(exchanges, workers, dtype):
    steps, length = 200, 1000
    vectors = np.random.default_rng(1).standard_normal((steps, workers, length)).astype(dtype)
    _, sides = exchanges(workers, length, dtype)

    def sums(rank):
        return [sides[rank](vectors[step, rank]) for step in range(steps)]

    with ThreadPoolExecutor(workers) as pool:
        found = list(pool.map(sums, range(workers)))
    for step in range(steps):
        expected = vectors[step, 0]
        for rank in range(1, workers):
            expected = expected + vectors[step, rank]
        for rank in range(workers):
            np.testing.assert_array_equal(found[rank][step], expected)


def test_a_sum_is_where_tensorflow_takes_it_over(exchanges):
    _, sides = exchanges(2, 3, "float32")
    with ThreadPoolExecutor(2) as pool:
        (total, _) = pool.map(lambda side: side(np.ones(3, np.float32)), sides)
    assert total.ctypes.data % 64 == 0


def test_who_waits_for_a_worker_that_ends_names_it(exchanges):
    meetings, (first, _, third) = exchanges(3, 4, "float32")

    def wait(side):
        with pytest.raises(NeighbourLostError, match="Rank 1, on the same machine, is gone"):
            side(np.ones(4, np.float32))

    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(wait, side) for side in (first, third)]
        # Both have told the second one, and wait for it.
        assert [meetings[1].peers[rank].recv(1) for rank in (0, 2)] == [b".", b"."]
        close(meetings[1])
        for each in waiting:
            each.result()


def test_who_comes_after_a_worker_has_ended_names_it(exchanges):
    meetings, (first, _) = exchanges(2, 4, "float32")
    close(meetings[1])
    with pytest.raises(NeighbourLostError, match="Rank 1"):
        first(np.ones(4, np.float32))


@given(workers=st.integers(2, 16), size=st.integers(1, 1 << 32))
def test_memory_is_bounded(workers, size):
    taken = SharedSum(None, rank=0, workers=workers).takes(size)
    assert taken == (2 * workers * size <= 1 << 30)


@pytest.mark.parametrize(("workers", "suits"), [(1, False), (2, True), (16, True), (17, False)])
def test_one_worker_and_very_many_sum_otherwise(workers, suits):
    assert SharedSum.suits(workers) is suits
