from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.catalog.info import Column
from orchestrator.data.plan import TrainingPlan
from orchestrator.training.calls import CallPlan, most_steps


@st.composite
def plans(draw: st.DrawFn) -> CallPlan:
    workers = draw(st.integers(1, 4))
    plan = TrainingPlan(
        rows=draw(st.integers(workers, 200)),
        streams=draw(st.integers(workers, 6)),
        workers=workers,
        batch_size=draw(st.integers(workers, 40)),
        epochs=draw(st.integers(1, 4)),
    )
    return CallPlan(
        plan=plan,
        worker=draw(st.integers(0, workers - 1)),
        most_steps=draw(st.integers(1, 9)),
        halt_every=draw(st.none() | st.integers(1, 12)),
        start_epoch=draw(st.integers(0, plan.epochs - 1)),
        start_step=draw(st.integers(0, plan.steps_per_epoch - 1)),
    )


@given(plans())
def test_calls_take_every_step_from_the_start_once_in_order(calls):
    numbered = [calls.number(number) for number in range(calls.total)]
    taken = [(call.epoch, step) for call in numbered for step in range(call.first, call.last)]
    size = calls.plan.steps_per_epoch
    start = calls.start_epoch * size + calls.start_step
    assert taken == [divmod(step, size) for step in range(start, calls.plan.total_steps)]
    of_epochs = [call.epoch for call in numbered]
    assert max(map(of_epochs.count, of_epochs)) <= calls.most_per_epoch


@given(plans())
def test_calls_end_where_a_halt_is_due_and_are_never_longer_than_allowed(calls):
    for call in map(calls.number, range(calls.total)):
        assert 0 < call.last - call.first <= calls.most_steps
        if calls.halt_every:
            assert not any(
                step % calls.halt_every == 0 for step in range(call.first + 1, call.last)
            )


@given(plans())
def test_all_workers_take_the_same_steps_in_a_call(calls):
    for worker in range(calls.plan.workers):
        others = replace(calls, worker=worker)
        assert [others.number(n) for n in range(others.total)] == [
            calls.number(n) for n in range(calls.total)
        ]


@given(plans())
def test_steps_of_a_call_have_as_many_rows_as_its_first(calls):
    for call in map(calls.number, range(calls.total)):
        steps = range(call.first, call.last)
        assert len({calls.plan.rows_of_step(step) for step in steps}) == 1


def test_training_that_is_over_has_no_call():
    plan = TrainingPlan(rows=50, streams=2, workers=2, batch_size=7, epochs=3)
    assert CallPlan(plan=plan, worker=0, start_epoch=3).total == 0


def test_steps_of_large_rows_are_taken_one_by_one():
    plan = TrainingPlan(rows=5000, streams=2, workers=2, batch_size=128, epochs=1)
    label = Column(name="label", dtype="int64")
    steps = [
        most_steps(plan, [Column(name="image", dtype="uint8", shape=shape), label])
        for shape in ((28, 28), (224, 224, 3), (2048, 2048, 3))
    ]
    assert steps == [16, 3, 1]
