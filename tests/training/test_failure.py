"""Of the ranks that fail, the one that tells why is named."""

import dataclasses

import pytest

from orchestrator.errors import RunFailedError, UnavailableError, UsageError
from orchestrator.provenance import installed_versions
from orchestrator.storage import RunFolder
from orchestrator.training.failure import Failure, clear_failures, first_failure
from orchestrator.training.versions import check_versions

COLLATERAL = (
    "Graph execution error:\n\nDetected at node while/CollectiveReduceV2 defined at (most recent "
    'call last):\n  File "x.py", line 1\n\nCollective ops is aborted by: recvmsg:Connection reset '
    "by peer\nThe error could be from a previous operation.\n\t [[{{node while/Collective}}]]"
)
#: As Ray Train describes a worker whose process is gone.
DEATH = (
    "A worker health check failed.\nWorker info: Worker(\n  metadata=ActorMetadata(\n"
    "    hostname='h3',\n    pid=4711,\n  ),\n)\nThe actor died unexpectedly before finishing."
)


class WorkerGroupError(Exception):
    """Stands for Ray Train's, of which one attribute is read."""

    def __init__(self, worker_failures):
        super().__init__("Training failed due to worker errors")
        self.worker_failures = worker_failures


@pytest.fixture
def run(tmp_path):
    return RunFolder(path=tmp_path / "run")


def fail(run, rank, error, *, at):
    failure = dataclasses.replace(Failure.of(error, rank=rank), time_s=at)
    failure.write(run)
    return failure


def raised(error):
    """An exception with a traceback through this file."""
    try:
        raise error
    except type(error) as err:
        return err


def test_first_one_in_time_is_named(run):
    fail(run, 0, ValueError("later"), at=2.0)
    fail(run, 1, ValueError("first"), at=1.0)
    found = first_failure(run, WorkerGroupError({}))
    assert (found.rank, found.message) == (1, "first")


def test_one_that_lost_its_peer_is_not_the_cause(run):
    fail(run, 0, RuntimeError(COLLATERAL), at=1.0)
    fail(run, 1, ValueError("mine"), at=2.0)
    assert first_failure(run, WorkerGroupError({})).rank == 1


def test_rank_that_vanished_is_named_before_those_that_lost_it(run):
    fail(run, 0, RuntimeError(COLLATERAL), at=1.0)
    found = first_failure(run, WorkerGroupError({0: Exception(), 1: RuntimeError(DEATH)}))
    assert (found.rank, found.host, found.cause) == (1, "h3", "killed")
    assert str(found.to_error()) == "Rank 1 on h3 (process 4711) was killed."


def test_crash_is_told_from_the_ranks_log(run):
    run.rank_log(1).parent.mkdir(parents=True)
    run.rank_log(1).write_text("fine\n*** SIGSEGV received at time=1 ***\nPC: @ 0x0\n")
    found = first_failure(run, WorkerGroupError({1: RuntimeError(DEATH)}))
    assert "crashed: SIGSEGV" in found.message


def test_without_a_worker_it_was_the_controller(run):
    died = type("ActorDiedError", (Exception,), {})
    found = first_failure(run, died("The actor died unexpectedly.\nclass_name: TrainController"))
    assert (found.rank, found.cause, found.retryable) == (None, "controller-lost", True)
    assert found.message == "Ray Train's controller has died."


def test_other_troubles_of_ray_train_are_told_as_they_are(run):
    found = first_failure(run, RuntimeError("no bundle could be placed"))
    assert (found.rank, found.cause) == (None, "error")
    assert "no bundle could be placed" in found.message


def test_what_tensorflow_wraps_around_a_message_is_left_out(run):
    message = fail(run, 0, RuntimeError(COLLATERAL), at=1.0).message
    assert message.startswith("Collective ops is aborted by")
    assert "node" not in message


def test_own_errors_keep_their_type_and_hint(run):
    fail(run, 0, UsageError("wrong", hint="mend it"), at=1.0)
    error = first_failure(run, WorkerGroupError({})).to_error()
    assert (type(error), str(error), error.hint) == (UsageError, "wrong", "mend it")


def test_error_of_others_with_the_name_of_an_own_one_stays_theirs(run):
    theirs = type("UnavailableError", (Exception,), {})
    fail(run, 0, theirs("Socket closed"), at=1.0)
    error = first_failure(run, WorkerGroupError({})).to_error()
    assert type(error) is RunFailedError
    fail(run, 0, UnavailableError("ours"), at=1.0)
    assert type(first_failure(run, WorkerGroupError({})).to_error()) is UnavailableError


def test_lines_that_matter_name_this_file(run):
    failure = fail(run, 0, raised(ValueError("mine")), at=1.0)
    assert len(failure.lines) == 1
    assert "test_failure.py, line" in failure.lines[0]
    assert failure.to_error().details == failure.lines


def test_failures_of_an_earlier_attempt_are_forgotten(run):
    fail(run, 0, ValueError("old"), at=1.0)
    clear_failures(run)
    assert first_failure(run, RuntimeError("new")).rank is None


def test_other_versions_are_named():
    check_versions(installed_versions())
    expected = {**installed_versions(), "keras": "1.0", "python": "2.7.18"}
    with pytest.raises(UsageError, match=r"python 3\.\S+ instead of 2\.7\.18, keras \S+ instead"):
        check_versions(expected)
