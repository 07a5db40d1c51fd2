"""Failures that really happen are diagnosed: nothing here stands for anything else."""

import json
import os
import socket
import subprocess
from pathlib import Path

import numpy as np
import pytest
from group import ROOT, TIMEOUT_S, GroupError, run_group

from orchestrator.errors import UnavailableError
from orchestrator.storage.run_folder import RunFolder
from orchestrator.training.checkpoint import Checkpoint, CheckpointStore
from orchestrator.training.failure import Failure, first_failure

SCRIPT = Path(__file__).with_name("failing_worker.py")

pytestmark = pytest.mark.slow


@pytest.fixture
def run(tmp_path):
    return RunFolder(path=tmp_path / "run")


def fail_alone(run, how, fork, **environment):
    """Run one worker to its failure; return what it wrote down."""
    subprocess.run(
        [*fork, str(SCRIPT), "0", "1", how, str(run.path)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        timeout=TIMEOUT_S,
        check=True,
    )
    return Failure.read(run.attempt(1).failure(0))


def test_port_that_is_taken(run, tensorflow_processes):
    with socket.socket() as held, socket.socket() as other:
        held.bind(("0.0.0.0", 0))
        held.listen()
        other.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{s.getsockname()[1]}" for s in (held, other)]
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": 0}}
        failure = fail_alone(
            run, "start_server", tensorflow_processes, TF_CONFIG=json.dumps(config)
        )
    assert (failure.cause, failure.retryable) == ("port-taken", True)
    assert "failing_worker.py" in failure.lines[0]


def test_memory_that_is_not_there(run, tensorflow_processes):
    failure = fail_alone(run, "take_too_much", tensorflow_processes)
    assert (failure.cause, failure.kind) == ("out-of-memory", "ResourceExhaustedError")
    assert failure.message.startswith("OOM when allocating tensor")


def test_shard_that_is_gone_while_rows_are_fed(run, tensorflow_processes):
    failure = fail_alone(run, "feed_from_a_missing_shard", tensorflow_processes)
    assert failure.cause == "shards-gone"
    error = failure.to_error()
    assert type(error) is UnavailableError
    assert str(error) == "/nowhere/train-0000.arrow can't be used: it is missing."


@pytest.mark.parametrize("how", ["lose_a_peer", "lose_a_neighbour"])
def test_rank_that_was_killed_is_named_by_the_one_that_lost_it(
    run, tmp_path, tensorflow_processes, how
):
    with pytest.raises(GroupError, match="rank 1 of 2"):
        run_group(SCRIPT, 2, [how, str(run.path)], tmp_path / "out", fork=tensorflow_processes)
    survivor = Failure.read(run.attempt(1).failure(0))
    assert survivor.cause == "peer-gone"
    found = first_failure(run.attempt(1), RuntimeError("rank 0 failed"))
    assert (found.rank, found.cause) == (1, "killed")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small disk")
def test_disk_that_is_full(run, tmp_path):
    run.checkpoints.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(run.checkpoints)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("can't mount here")
    try:
        with pytest.raises(Exception, match="No space left") as caught:
            CheckpointStore(folder=run.checkpoints).save(
                Checkpoint(epoch=1, step=0, arrays={"w": np.zeros(100_000)})
            )
    finally:
        subprocess.run(["umount", str(run.checkpoints)], check=True)
    failure = Failure.of(caught.value, rank=0)
    assert (failure.cause, failure.retryable) == ("storage-full", True)
    assert failure.to_error().exit_code == 3
