"""What a model said of each row: the same file for any number of workers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import RunFailedError, UnavailableError
from orchestrator.records.predictions import Predictions


def of(rows):
    row = np.asarray(rows, np.int64)
    return Predictions(row=row, label=(row % 3).astype("i4"), predicted=(row % 2).astype("i4"))


@given(rows=st.sets(st.integers(0, 10_000)), workers=st.integers(1, 5), seed=st.integers(0, 9))
def test_merged_in_the_order_of_rows_whoever_had_which(rows, workers, seed):
    dealt = np.random.default_rng(seed).permutation(sorted(rows))
    merged = Predictions.merge([of(dealt[worker::workers]) for worker in range(workers)])
    assert merged.same_rows(of(sorted(rows)))
    merged.check(rows=len(rows))


def test_row_that_two_workers_had_is_named():
    with pytest.raises(RunFailedError, match="row 2 was evaluated twice"):
        Predictions.merge([of([1, 2]), of([2, 3])]).check(rows=3)


def test_row_that_no_worker_had_is_missed():
    with pytest.raises(RunFailedError, match="2 test rows have a prediction; there are 3"):
        of([1, 2]).check(rows=3)


def test_no_parts_are_no_rows():
    assert len(Predictions.merge([])) == 0
    Predictions.merge([]).check(rows=0)


def test_file_holds_them(tmp_path):
    of([3, 5, 8]).write(tmp_path / "p.arrow")
    back = Predictions.read(tmp_path / "p.arrow")
    assert back.same_rows(of([3, 5, 8]))
    assert back.predicted.tolist() == [1, 1, 0]


def test_damaged_file_is_named(tmp_path):
    path = tmp_path / "p.arrow"
    path.write_bytes(b"no arrow")
    with pytest.raises(UnavailableError, match=r"p\.arrow is damaged"):
        Predictions.read(path)
