"""Of the ranks that fail, the one that tells why is named."""

import dataclasses
import errno
import os
import pickle
import signal
import socket
import subprocess
import sys

import pytest

from orchestrator.errors import RunFailedError, UnavailableError, UsageError
from orchestrator.provenance import installed_versions
from orchestrator.storage.run_folder import RunFolder
from orchestrator.training.failure import (
    Failure,
    RankFailedError,
    first_failure,
)
from orchestrator.training.last_words import LastWords
from orchestrator.training.versions import check_versions

COLLATERAL = (
    "Graph execution error:\n\nDetected at node while/CollectiveReduceV2 defined at (most recent "
    'call last):\n  File "x.py", line 1\n\nCollective ops is aborted by: recvmsg:Connection reset '
    "by peer\nThe error could be from a previous operation.\n\t [[{{node while/Collective}}]]"
)
#: What Ray Train 2.60 says of a worker whose process was killed.
WHO = (
    "A worker health check failed.\nWorker info: Worker(\n"
    "  actor=Actor(RayTrainWorker, 00a88d7a9e4eeaae3850acbb01000000),\n"
    "  metadata=ActorMetadata(\n    hostname='h3',\n    node_ip='10.77.0.13',\n    pid=4711,\n"
    "  ),\n)"
)
GUESSES = (
    "The actor died unexpectedly before finishing this task.\n\tpid: 4711\n"
    "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker "
    "exit detail: Worker unexpectedly exits with a connection error code 2. End of file. Some "
    "common causes include: (1) the process was killed by the OOM killer due to high memory "
    "usage, (2) ray stop --force was called, or (3) the worker crashed unexpectedly due to SIGSEGV "
    "or another unexpected error. If the process was killed by the kernel OOM killer (verifiable "
    "by checking for OOM in dmesg of the OOMing node), consider enabling resource isolation via "
    "--enable-resource-isolation to prevent node deaths by resource contention and significant "
    "loss of progress by uninformed kernel OOM killing."
)
LOST = (
    "Collective ops is aborted by: recvmsg:Connection reset by peer\nAdditional GRPC error "
    "information from remote target /job:worker/replica:0/task:1 while calling "
    "/tensorflow.WorkerService/RecvBuf:\n:UNKNOWN:Error received from peer"
)
SILENT = (
    "Collective ops is aborted by: Error reported from /job:worker/task:1: The following tasks are "
    "unhealthy (stopped sending heartbeats):\n/job:worker/replica:0/task:1\nThe tasks have crashed."
)
#: What Ray 2.60 raises from `fit` when its memory monitor has killed all workers.
MEMORY = (
    "7 worker(s) were killed due to the node running low on memory. Memory on the node (IP: "
    "10.77.0.13, ID: 0b9a) was 3.78GB used / 23.54GB limit (0.160763)\nConsidered workers: [\n"
    "Selected to kill: (Actor(f81c): task name=RayTrainWorker.__init__, required resources={}, "
    "pid=5452, actual memory used=0.55GB, worker ID=dced)\n"
    "Selected to kill: (Actor(81e8): task name=RayTrainWorker.__init__, required resources={}, "
    "pid=5416, actual memory used=0.11GB, worker ID=a1f0)"
)


def introduce(run, rank, pid, *said, oom_kills=0, host="h3"):
    """A log as a worker begins it."""
    head = f"launch-job: rank {rank} on {host}, process {pid}, 2026-01-01T00:00:00+00:00, "
    run.logs.mkdir(parents=True, exist_ok=True)
    with run.rank_log(rank).open("a") as log:
        log.write("\n".join((f"{head}{oom_kills} killed for memory", *said, "")))


def group_error(deaths):
    from ray.train.v2.api.exceptions import WorkerGroupError

    return WorkerGroupError("", deaths)


def killed():
    from ray.exceptions import RayActorError
    from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError

    return WorkerHealthCheckFailedError(WHO, RayActorError(error_msg=GUESSES))


@pytest.fixture
def run(tmp_path):
    return RunFolder(path=tmp_path / "run")


def fail(run, rank, error, *, at):
    failure = dataclasses.replace(Failure.of(error, rank=rank), time_s=at)
    failure.write(run.attempt(1))
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
    found = first_failure(run.attempt(1), group_error({}))
    assert (found.rank, found.message) == (1, "first")


def test_one_that_lost_its_peer_is_not_the_cause(run):
    fail(run, 0, RuntimeError(COLLATERAL), at=1.0)
    fail(run, 1, ValueError("mine"), at=2.0)
    assert first_failure(run.attempt(1), group_error({})).rank == 1


def test_rank_that_vanished_is_named_before_those_that_lost_it(run):
    fail(run, 0, RuntimeError(COLLATERAL), at=1.0)
    found = first_failure(run.attempt(1), group_error({0: Exception(), 1: killed()}))
    assert (found.rank, found.host, found.cause) == (1, "h3", "killed")
    assert str(found.to_error()) == "Rank 1 on h3 (process 4711) was killed."


def test_crash_is_told_from_the_ranks_log(run):
    introduce(run, 1, 4711, "fine", "*** SIGSEGV received at time=1 on cpu 0 ***", "PC: @ 0x0")
    assert "crashed: SIGSEGV" in first_failure(run.attempt(1), group_error({1: killed()})).message


def test_crash_of_an_earlier_attempt_is_not_this_ones(run):
    introduce(run, 1, 17, "*** SIGSEGV received at time=1 on cpu 0 ***")
    introduce(run, 1, 4711, "fine")
    assert (
        "(process 4711) was killed."
        in first_failure(run.attempt(1), group_error({1: killed()})).message
    )
    introduce(run, 1, 5000, "Fatal Python error: Aborted")
    assert (
        "(process 4711) was killed."
        in first_failure(run.attempt(1), group_error({1: killed()})).message
    )


def test_kernel_that_killed_for_memory_is_believed_on_this_host_only(run, tmp_path, monkeypatch):
    kernel = tmp_path / "vmstat"
    kernel.write_text("nr_free_pages 1\noom_kill 3\n")
    monkeypatch.setattr("orchestrator.training.last_words._KERNEL", kernel)
    for host, before, cause in (
        (socket.gethostname(), 2, "out-of-memory"),
        (socket.gethostname(), 3, "killed"),
        ("elsewhere", 2, "killed"),
    ):
        introduce(run, 1, 4711, oom_kills=before, host=host)
        assert first_failure(run.attempt(1), group_error({1: killed()})).cause == cause


def test_process_that_crashes_leaves_its_last_words(run):
    script = (
        "import faulthandler, os, sys; from orchestrator.training.last_words import introduction\n"
        "faulthandler.enable()\n"
        "print(introduction(1), flush=True)\n"
        "def lay_hands_on_itself(): os.abort()\n"
        "lay_hands_on_itself()\n"
    )
    run.logs.mkdir(parents=True)
    with run.rank_log(1).open("w") as log:
        process = subprocess.Popen([sys.executable, "-c", script], stdout=log, stderr=log)
    assert process.wait() == -signal.SIGABRT
    words = LastWords.read(run.rank_log(1), pid=process.pid)
    assert words.crash_name == "Fatal Python error: Aborted"
    assert "in lay_hands_on_itself" in words.crash
    assert LastWords.read(run.rank_log(1), pid=process.pid + 1) is None
    assert LastWords.read(run.rank_log(0)) is None


def test_vanished_rank_goes_before_an_exception_that_may_come_of_it(run):
    fail(run, 0, RuntimeError("something strange"), at=1.0)
    assert first_failure(run.attempt(1), group_error({0: Exception(), 1: killed()})).rank == 1
    fail(run, 2, MemoryError("mine"), at=2.0)
    assert first_failure(run.attempt(1), group_error({1: killed()})).rank == 2


@pytest.mark.parametrize(("said", "cause"), [(LOST, "killed"), (SILENT, "unresponsive")])
def test_rank_that_nobody_but_a_survivor_tells_of_is_named(run, said, cause):
    introduce(run, 1, 12)
    fail(run, 0, RuntimeError(said), at=1.0)
    found = first_failure(run.attempt(1), group_error({0: Exception()}))
    assert (found.rank, found.host, found.cause) == (1, "h3", cause)
    assert "lost the connection to it" in str(found.to_error())


def test_survivor_that_quotes_the_others_error_is_not_first(run):
    quoted = LOST.replace("recvmsg:Connection reset by peer", "OOM when allocating tensor")
    fail(run, 0, RuntimeError(quoted), at=1.0)
    fail(run, 1, MemoryError("mine"), at=2.0)
    assert first_failure(run.attempt(1), group_error({})).rank == 1


def test_rank_that_hangs_was_not_killed(run):
    from ray.train.v2._internal.exceptions import WorkerHealthCheckTimeoutError

    death = WorkerHealthCheckTimeoutError(f"A worker health check has been hanging for 61 s.{WHO}")
    found = first_failure(run.attempt(1), group_error({1: death}))
    assert (found.rank, found.host, found.cause) == (1, "h3", "unresponsive")


def test_rank_that_could_not_write_its_failure_tells_it_with_its_exception(run):
    error = UnavailableError("Can't use /mnt/x: No space left on device.", hint="Free some.")
    sent = pickle.loads(pickle.dumps(RankFailedError(Failure.of(error, rank=1))))
    found = first_failure(run.attempt(1), group_error({1: sent}))
    assert (found.rank, found.cause) == (1, "storage-full")
    assert (type(found.to_error()), found.hint) == (UnavailableError, "Free some.")


def test_rank_that_failed_before_it_began_tells_it_with_its_exception(run):
    introduce(run, 1, 12)
    found = first_failure(
        run.attempt(1), group_error({1: ModuleNotFoundError("No module named 'mine'")})
    )
    assert (found.rank, found.host, found.kind) == (1, "h3", "ModuleNotFoundError")


def test_worker_that_took_most_memory_is_named(run):
    from ray.exceptions import OutOfMemoryError

    error = OutOfMemoryError(MEMORY)
    assert first_failure(run.attempt(1), error).rank is None
    assert "3.78GB used / 23.54GB" in first_failure(run.attempt(1), error).message
    introduce(run, 0, 5416)
    introduce(run, 1, 5452)
    found = first_failure(run.attempt(1), error)
    assert (found.rank, found.cause) == (1, "out-of-memory")
    assert "0.55 GB" in found.message


def test_without_a_worker_it_was_the_controller(run):
    died = type("ActorDiedError", (Exception,), {})
    found = first_failure(
        run.attempt(1), died("The actor died unexpectedly.\nclass_name: TrainController")
    )
    assert (found.rank, found.cause, found.retryable) == (None, "controller-lost", True)
    assert found.message == "Ray Train's controller has died."


def test_other_troubles_of_ray_train_are_told_as_they_are(run):
    found = first_failure(run.attempt(1), RuntimeError("no bundle could be placed"))
    assert (found.rank, found.cause) == (None, "error")
    assert "no bundle could be placed" in found.message


def test_what_tensorflow_wraps_around_a_message_is_left_out(run):
    message = fail(run, 0, RuntimeError(COLLATERAL), at=1.0).message
    assert message.startswith("Collective ops is aborted by")
    assert "node" not in message


def test_own_errors_keep_their_type_and_hint(run):
    fail(run, 0, UsageError("wrong", hint="mend it"), at=1.0)
    error = first_failure(run.attempt(1), group_error({})).to_error()
    assert (type(error), str(error), error.hint) == (UsageError, "wrong", "mend it")


def test_error_of_others_with_the_name_of_an_own_one_stays_theirs(run):
    theirs = type("UnavailableError", (Exception,), {})
    fail(run, 0, theirs("Socket closed"), at=1.0)
    error = first_failure(run.attempt(1), group_error({})).to_error()
    assert type(error) is RunFailedError
    fail(run, 0, UnavailableError("ours"), at=1.0)
    assert type(first_failure(run.attempt(1), group_error({})).to_error()) is UnavailableError


def test_lines_that_matter_name_this_file(run):
    fail(run, 0, raised(ValueError("mine")), at=1.0)
    failure = first_failure(run.attempt(1), group_error({}))
    frame, code, error = failure.lines
    assert "test_failure.py" in frame
    assert (code.strip(), error) == ("raise error", "ValueError: mine")
    log = f"Log: {run.rank_log(0)}"
    assert failure.to_error().details == (*failure.lines, log)


def test_full_disk_is_storage_that_can_not_be_used(run):
    error = Failure.of(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), rank=0).to_error()
    assert type(error) is UnavailableError


def test_failures_of_an_earlier_attempt_are_not_this_ones(run):
    fail(run, 0, ValueError("old"), at=1.0)
    assert first_failure(run.attempt(2), RuntimeError("new")).rank is None


def test_other_versions_are_named():
    check_versions(installed_versions())
    expected = {**installed_versions(), "keras": "1.0", "python": "2.7.18"}
    with pytest.raises(UsageError, match=r"python 3\.\S+ instead of 2\.7\.18, keras \S+ instead"):
        check_versions(expected)
