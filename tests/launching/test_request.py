"""A request is checked again where something may have happened since."""

from datetime import UTC, datetime

import pytest

from orchestrator.errors import UsageError
from orchestrator.launching.launcher import run_request
from orchestrator.launching.request import prepare_request, prepare_resumption
from orchestrator.observer import Observer
from orchestrator.records.events import EventLog
from orchestrator.spec import RunOptions, RunSpec
from orchestrator.states import RunState
from orchestrator.storage.atomic import write_json
from orchestrator.storage.storage import Storage


@pytest.fixture
def storage(tmp_path):
    return Storage.at(str(tmp_path))


@pytest.fixture
def stopped(storage):
    """A run that was stopped while it prepared its data."""
    spec = RunSpec(
        run_id="20260101-000000-cnn-mnist-aaaaaa",
        job="cnn-mnist",
        params={},
        dataset="digits",
        workers=2,
        epochs=1,
        batch_size=32,
    )
    run = storage.run(spec.run_id)
    write_json(run.spec, {"spec": spec.to_dict(), "provenance": {}})
    enter(run, RunState.QUEUED, RunState.PREPARING, RunState.STOPPED)
    return run


def enter(run, *states):
    for state in states:
        EventLog(path=run.events).append("state", at=datetime.now(UTC), state=state.value)


def test_run_that_another_resume_has_brought_to_its_end_is_not_taken_up(storage, stopped):
    request = prepare_resumption(
        stopped,
        workers=None,
        min_workers=None,
        restart=False,
        storage=storage,
        address=None,
        observer=Observer(),
    )
    enter(stopped, RunState.QUEUED, RunState.PREPARING, RunState.RUNNING, RunState.SUCCEEDED)
    with pytest.raises(UsageError, match="has succeeded"):
        run_request(request, Observer(), began_s=0.0)


def test_run_that_has_begun_is_not_begun_again_under_its_identifier(storage, stopped):
    with pytest.raises(UsageError, match="has begun already"):
        prepare_request(
            "cnn-mnist",
            RunOptions(),
            dataset="digits",
            params={},
            epochs=None,
            batch_size=None,
            storage=storage,
            address=None,
            observer=Observer(),
            run_id=stopped.run_id,
        )
