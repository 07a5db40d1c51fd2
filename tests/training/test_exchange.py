"""How vectors are summed over workers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from group import run_group
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.training.exchange import gathers

WORKERS = 4
SIZES = st.integers(min_value=0, max_value=1 << 24)


@pytest.mark.parametrize(
    ("workers", "size", "gathered"),
    [
        (1, 4, False),  # There is nothing to exchange.
        (2, 133_676, True),  # lstm-mnist
        (2, 1 << 20, False),
        (8, 50_924, True),
        (8, 133_676, False),
        (100, 133_676, False),
    ],
)
def test_short_vectors_are_gathered(workers, size, gathered):
    assert gathers(workers, size) is gathered


@given(workers=st.integers(min_value=2, max_value=1000), size=SIZES)
def test_a_shorter_vector_and_a_smaller_group_gather_too(workers, size):
    if gathers(workers, size):
        assert gathers(workers, size // 2)
        assert gathers(max(2, workers - 1), size)


@pytest.fixture(scope="module")
def vectors():
    """A vector of each worker, short ones and long ones."""
    random = np.random.default_rng(3)
    lengths = {"short": 1_000, "long": 300_000}
    return {
        name: random.standard_normal((WORKERS, length)).astype(np.float32)
        for name, length in lengths.items()
    }


@pytest.fixture(scope="module")
def sums(vectors, tmp_path_factory, tensorflow_processes):
    """What each worker has."""
    out = tmp_path_factory.mktemp("exchange")
    for name, rows in vectors.items():
        np.save(out / f"{name}.npy", rows)
    script = Path(__file__).with_name("exchange_worker.py")
    run_group(script, WORKERS, [str(out)], out / "logs", fork=tensorflow_processes)
    return [np.load(out / f"rank-{rank}.npz") for rank in range(WORKERS)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("short apart", "CollectiveGatherV2"),
        ("long apart", "CollectiveReduceV2"),
        ("short together", "PyFunc"),
        ("long together", "PyFunc"),
    ],
)
def test_all_workers_get_the_same_sum(vectors, sums, name, way):
    assert {str(found[f"{name} by"]) for found in sums} == {way}
    for found in sums:
        np.testing.assert_array_equal(found[name], sums[0][name])
    expected = vectors[name.split()[0]].sum(axis=0)
    np.testing.assert_allclose(sums[0][name], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["short apart", "short together", "long together"])
def test_ranks_are_summed_in_their_order(vectors, sums, name):
    first, second, third, fourth = vectors[name.split()[0]]
    np.testing.assert_array_equal(sums[0][name], ((first + second) + third) + fourth)
