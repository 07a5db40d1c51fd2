"""The list of runs, as their folders tell."""

from datetime import UTC, datetime, timedelta

import pytest
from sample_reports import sample

from orchestrator.driver_lock import DriverLock
from orchestrator.errors import LaunchJobError
from orchestrator.records.events import EventLog
from orchestrator.results.runs import list_runs, summarise
from orchestrator.spec import RunSpec
from orchestrator.states import RunState
from orchestrator.storage.atomic import write_json
from orchestrator.storage.storage import Storage

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def storage(tmp_path):
    return Storage(path=tmp_path)


def add(storage, run_id, *states, epochs=0):
    """Make a run that went through states, 10 s each, and then ended some epochs."""
    spec = RunSpec(
        run_id=run_id,
        job="lstm",
        params={},
        dataset="digits",
        workers=2,
        epochs=2,
        batch_size=4,
        name="mine",
    )
    run = storage.run(run_id)
    write_json(run.spec, {"spec": spec.to_dict()})
    log = EventLog(path=run.events)
    times = (BEGAN + timedelta(seconds=10 * number) for number in range(10))
    for state in states:
        if state is RunState.SUCCEEDED:
            for epoch in range(epochs):
                log.append("epoch", epoch=epoch + 1, at=BEGAN)
        log.append("state", state=state.value, at=next(times))
    return run


WHOLE = (RunState.QUEUED, RunState.PREPARING, RunState.RUNNING, RunState.SUCCEEDED)


def test_run_that_succeeded(storage):
    run = add(storage, "a", *WHOLE, epochs=2)
    sample("a").write(run)
    found = summarise(run)
    assert (found.state, found.epochs_done, found.epochs) == (RunState.SUCCEEDED, 2, 2)
    assert (found.accuracy, found.wall_s, found.started_at) == (0.75, 30.0, BEGAN)
    assert (found.name, found.job, found.dataset, found.workers) == ("mine", "lstm", "digits", 2)


def test_run_that_goes_on(storage):
    run = add(storage, "a", *WHOLE[:3])
    with DriverLock(run):
        found = summarise(run)
    assert (found.state, found.accuracy, found.epochs_done) == (RunState.RUNNING, None, 0)
    assert found.wall_s > 20


@pytest.mark.parametrize("states", [(), *(WHOLE[:n] for n in (1, 2, 3))])
def test_run_whose_driver_is_gone_is_lost(storage, states):
    assert summarise(add(storage, "a", *states)).state is RunState.LOST


def test_time_between_a_death_and_a_resumption_is_not_counted(storage):
    run = add(storage, "a", *WHOLE[:3])
    later = BEGAN + timedelta(days=1)
    for number, state in enumerate((RunState.LOST, *WHOLE)):
        EventLog(path=run.events).append(
            "state", state=state.value, at=later + timedelta(seconds=10 * number)
        )
    assert summarise(run).wall_s == 20.0 + 30.0


def test_run_that_failed_early(storage):
    run = add(storage, "a", RunState.QUEUED, RunState.FAILED)
    sample("a", failed=True).write(run)
    found = summarise(run)
    assert (found.state, found.accuracy, found.wall_s) == (RunState.FAILED, None, 10.0)


def test_newest_first_and_no_more_than_asked(storage):
    for run_id in ("20260102-b", "20260101-a", "20260103-c"):
        add(storage, run_id, RunState.QUEUED)
    assert [r.run_id for r in list_runs(storage, limit=2)] == ["20260103-c", "20260102-b"]


def test_no_runs(storage):
    assert list_runs(storage, limit=5) == []


@pytest.mark.parametrize("damage", ["{", "{}", '{"spec": {"from_the_future": 1}}'])
def test_damaged_run_does_not_hide_the_others(storage, damage):
    add(storage, "a", RunState.QUEUED)
    add(storage, "b", RunState.QUEUED).spec.write_text(damage)
    told: list[LaunchJobError] = []
    assert [r.run_id for r in list_runs(storage, limit=5, on_unreadable=told.append)] == ["a"]
    assert len(told) == 1
    assert str(storage.run("b").spec) in told[0].message
