from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from orchestrator.data.plan import TrainingPlan
from orchestrator.errors import UsageError


def plan(**changes: int) -> TrainingPlan:
    numbers = {"rows": 100, "streams": 8, "workers": 2, "batch_size": 16, "epochs": 3}
    return TrainingPlan(**(numbers | changes))


@st.composite
def plans(draw: st.DrawFn) -> TrainingPlan:
    workers = draw(st.integers(1, 9))
    streams = draw(st.integers(workers, 12))
    rows, batch_size = draw(st.integers(workers, 150)), draw(st.integers(workers, 60))
    return plan(rows=rows, streams=streams, workers=workers, batch_size=batch_size)


@given(plans())
def test_steps_cover_the_rows_and_workers_cover_the_steps(plan):
    whole = [plan.rows_of_step(step) for step in range(plan.steps_per_epoch)]
    assert sum(whole) == plan.rows
    assert all(0 < size <= plan.batch_size for size in whole)
    for step, size in enumerate(whole):
        held = [plan.rows_of_worker(step, worker=w) for w in range(plan.workers)]
        assert sum(held) == size


# Only the second of these four steps leaves worker 1 without a row: no look at the ends finds it.
@example(plan(rows=8, streams=3, workers=2, batch_size=2))
@given(plans())
def test_knows_whether_every_worker_has_rows(plan):
    assert plan.every_worker_has_rows == all(
        plan.rows_of_worker(step, worker=worker) > 0
        for step in range(plan.steps_per_epoch)
        for worker in range(plan.workers)
    )


@given(plans())
def test_workers_that_divide_streams_and_batches_hold_equal_shares(plan):
    assume(plan.streams % plan.workers == 0 and plan.batch_size % plan.workers == 0)
    for step in range(plan.rows // plan.batch_size):
        held = {plan.rows_of_worker(step, worker=w) for w in range(plan.workers)}
        assert held == {plan.batch_size // plan.workers}


def test_counts_steps():
    assert (plan().steps_per_epoch, plan().total_steps) == (7, 21)
    assert plan().rows_of_step(6) == 4


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"workers": 0}, "--workers must be at least 1, not 0"),
        ({"epochs": 0}, "--epochs must be at least 1, not 0"),
        ({"workers": 9}, "9 workers can't share 8 streams"),
        ({"workers": 4, "batch_size": 3}, "batch of 3 rows is smaller than 4 workers"),
        ({"rows": 1}, "1 rows, too few for 2 workers"),
    ],
)
def test_refuses_what_can_not_be_planned(wrong, words):
    with pytest.raises(UsageError, match=words):
        plan(**wrong)
