"""Known causes are told by what TensorFlow, Ray and the operating system really say."""

import errno
import os

import pytest

from orchestrator.training.diagnosis import diagnose, diagnose_death

SEEN = {
    "nan": "RunFailedError: The loss became NaN or infinite in epoch 1, step 3 of 45.",
    "usage": "UsageError: jobs/mine.py, line 3: job mine can't build its model: KeyError: 'x'",
    "version-mismatch": "UsageError: h2 has other versions than the driver's host: keras 3.14.0",
    "storage-full": f"OSError: [Errno 28] {os.strerror(errno.ENOSPC)}: '/mnt/runs/x'",
    "shards-gone": "UnavailableError: /s/train-0003.arrow can't be used: it is missing.",
    "out-of-memory": (
        "ResourceExhaustedError: {{function_node __wrapped__Fill}} OOM when allocating tensor "
        "with shape[17592186044416] and type float on /job:localhost"
    ),
    "no-gpu": "InternalError: failed call to cuInit: CUDA_ERROR_NO_DEVICE: no CUDA-capable device",
    "port-taken": "UnknownError: Could not start gRPC server",
    "peer-gone": "UnavailableError: Collective ops is aborted by: recvmsg:Connection reset by peer",
    "storage": f"OSError: [Errno 30] {os.strerror(errno.EROFS)}: '/mnt/runs/x'",
    "error": "ValueError: something else",
}


@pytest.mark.parametrize("cause", SEEN)
def test_cause_is_known_by_its_message(cause):
    found = diagnose(SEEN[cause])
    assert found.cause == cause
    assert found.hint or cause in ("nan", "usage", "peer-gone", "error")


@pytest.mark.parametrize("cause", ["nan", "usage", "version-mismatch", "no-gpu"])
def test_what_can_not_pass_is_not_tried_again(cause):
    assert not diagnose(SEEN[cause]).retryable
    assert all(diagnose(SEEN[other]).retryable for other in ("peer-gone", "storage-full", "error"))


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("OutOfMemoryError: 7 worker(s) were killed: the node is low on memory", "out-of-memory"),
        ("ActorDiedError: The actor died because its node has died.", "host-lost"),
        ("ActorDiedError: Worker exit type: SYSTEM_ERROR Worker unexpectedly exits", "killed"),
    ],
)
def test_death_without_a_word_is_told_by_what_ray_says(said, cause):
    assert diagnose_death(said).cause == cause
