"""What is written down of a run before a cluster gets it."""

import dataclasses

import pytest

from orchestrator.cluster.package import list_package
from orchestrator.errors import UnavailableError
from orchestrator.launching.driving import drive_submitted
from orchestrator.launching.submission import Submission, entrypoint, located, withdraw
from orchestrator.observer import Observer
from orchestrator.records.events import EventLog
from orchestrator.results.runs import summarise
from orchestrator.spec import RunSpec
from orchestrator.states import RunState
from orchestrator.storage.atomic import write_json
from orchestrator.storage.storage import Storage

SPEC = RunSpec(
    run_id="20260101-000000-pets-aaaaaa",
    job="mlp-table",
    params={},
    dataset="digits",
    workers=2,
    epochs=1,
    batch_size=32,
)


@pytest.fixture
def project(tmp_path, monkeypatch):
    for name in ("cluster.yaml", "data/people.csv", "data/large.csv", "deep/er/x"):
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "project" / ".gitignore").write_text("large.csv\n")
    (tmp_path / "elsewhere.csv").touch()
    monkeypatch.chdir(tmp_path / "project" / "deep")
    return tmp_path / "project"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("digits", "digits"),
        ("../data/people.csv", "./data/people.csv"),
        ("../data", "./data"),
        ("../data/large.csv", "{project}/data/large.csv"),
        ("../../elsewhere.csv", "{project}/../elsewhere.csv"),
        ("s3://bucket/people.csv", "s3://bucket/people.csv"),
    ],
)
def test_driver_finds_what_is_sent_with_the_project_or_at_the_same_path(project, given, found):
    spec = located(dataclasses.replace(SPEC, dataset=given), list_package(project))
    assert spec.dataset == found.format(project=project).replace("/project/..", "")


@pytest.fixture
def queued(tmp_path):
    """A run that a cluster has taken, and that has no driver yet."""
    run = Storage.at(str(tmp_path)).run(SPEC.run_id)
    write_json(run.spec, {"spec": SPEC.to_dict(), "provenance": {"versions": {}}})
    submission = Submission.next(run, address="http://127.0.0.1:1", began_s=0.0)
    write_json(run.submission, dataclasses.asdict(submission))
    EventLog(path=run.events).append("state", state=RunState.QUEUED.value)
    return run


def test_job_has_the_run_s_name_and_each_later_one_a_number(queued):
    assert Submission.read(queued).job_id == SPEC.run_id
    following = Submission.next(queued, address="http://127.0.0.1:1", began_s=0.0)
    assert (following.job_id, following.number) == (f"{SPEC.run_id}.2", 2)
    assert entrypoint(queued, 2).endswith(f"drive {queued.path.parent.parent} {SPEC.run_id} 2")


def test_queued_run_is_not_lost_while_its_driver_may_be_to_come(queued):
    assert summarise(queued).state is RunState.QUEUED


def test_job_that_begins_after_its_run_was_stopped_does_nothing(queued, tmp_path):
    assert withdraw(queued)
    assert EventLog(path=queued.events).state() is RunState.STOPPED
    before = queued.events.read_bytes()
    drive_submitted(Storage.at(str(tmp_path)), SPEC.run_id, 1, Observer())
    assert queued.events.read_bytes() == before
    assert not withdraw(queued)


def test_job_of_an_earlier_submission_does_nothing(queued, tmp_path):
    following = Submission.next(queued, address="http://127.0.0.1:1", began_s=0.0)
    write_json(queued.submission, dataclasses.asdict(following))
    drive_submitted(Storage.at(str(tmp_path)), SPEC.run_id, 1, Observer())
    assert EventLog(path=queued.events).state() is RunState.QUEUED


def test_head_with_other_versions_refuses_and_the_run_is_failed(queued, tmp_path):
    asked = {"python": "3.9.1", "ray": "1.0", "keras": "2.0"}
    write_json(queued.spec, {"spec": SPEC.to_dict(), "provenance": {"versions": asked}})
    with pytest.raises(UnavailableError, match=r"Python 3\.\d+\.\d+, not 3\.9; ray .*, not 1\.0"):
        drive_submitted(Storage.at(str(tmp_path)), SPEC.run_id, 1, Observer())
    last = EventLog(path=queued.events).read()[-1]
    assert last.details["state"] == "FAILED"
    assert last.details["error"]["exit_code"] == 3
    assert "--install" in last.details["error"]["hint"]


def test_storage_without_the_run_is_another(tmp_path):
    with pytest.raises(UnavailableError, match="does not share that storage"):
        drive_submitted(Storage.at(str(tmp_path)), SPEC.run_id, 1, Observer())
