"""What an exception of a worker means: a known cause, whether it may pass, and what to do.

This is one table, read from its top. What it knows was seen: each pattern is of a message that
TensorFlow, Ray or the operating system really gives.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """A cause of failure."""

    #: A word for it, the same in every release.
    cause: str
    #: Whether another attempt may end differently.
    retryable: bool
    #: What to do about it, if that is known.
    hint: str | None = None


#: The others fail because this one has; it never tells the cause.
PEER_GONE = "peer-gone"

NAN = Diagnosis(cause="nan", retryable=False)
USAGE = Diagnosis(cause="usage", retryable=False)
UNKNOWN = Diagnosis(cause="error", retryable=True)
KILLED = Diagnosis(
    cause="killed",
    retryable=True,
    hint="Its log may tell more; the kernel's (dmesg) tells whether memory ran out.",
)
HOST_LOST = Diagnosis(
    cause="host-lost", retryable=True, hint="Look whether the host is up and in the network."
)
OUT_OF_MEMORY = Diagnosis(
    cause="out-of-memory",
    retryable=True,
    hint="Use a smaller --batch-size, a smaller model, or fewer workers on one host.",
)
CONTROLLER_LOST = Diagnosis(cause="controller-lost", retryable=True)

_TABLE: tuple[tuple[str, Diagnosis], ...] = (
    (r"became NaN or infinite", NAN),
    (
        r"has other versions than",
        Diagnosis(
            cause="version-mismatch",
            retryable=False,
            hint="Install requirements.lock on every host.",
        ),
    ),
    (
        r"No space left on device|Disk quota exceeded|File too large",
        Diagnosis(
            cause="storage-full",
            retryable=True,
            hint="Free some space or name another folder with --storage.",
        ),
    ),
    (
        r"\.arrow can't be used",
        Diagnosis(
            cause="shards-gone",
            retryable=True,
            hint="Remove the prepared dataset's folder; the next run prepares it anew.",
        ),
    ),
    (
        (
            r"ResourceExhaustedError|OOM when allocating|MemoryError|OutOfMemoryError"
            r"|low on memory|CUDA_ERROR_OUT_OF_MEMORY|std::bad_alloc"
        ),
        OUT_OF_MEMORY,
    ),
    (
        r"CUDA_ERROR_NO_DEVICE|no CUDA-capable device|no GPU was found|Could not satisfy.*GPU",
        Diagnosis(
            cause="no-gpu",
            retryable=False,
            hint="Look at nvidia-smi on that host, or use --device cpu.",
        ),
    ),
    (
        r"Could not start gRPC server|Address already in use",
        Diagnosis(
            cause="port-taken",
            retryable=True,
            hint="Another process took the port between its choice and its use; try again.",
        ),
    ),
    (
        (
            r"Collective ops is aborted|Connection reset by peer|Socket closed|Broken pipe"
            r"|stopped sending heartbeats|failed to connect to all addresses|Connection refused"
            r"|DeadlineExceededError|CoordinationServiceError|tasks? (are|is) unhealthy"
            r"|Collective instance expected"
        ),
        Diagnosis(cause=PEER_GONE, retryable=True),
    ),
    (
        r"Read-only file system|Stale file handle|Input/output error|Can't use ",
        Diagnosis(
            cause="storage",
            retryable=True,
            hint="Look whether the storage is mounted and can be written on that host.",
        ),
    ),
)


def diagnose(text: str) -> Diagnosis:
    """Return what an exception means.

    Args:
        text: Name of its type, and its message.
    """
    for pattern, diagnosis in _TABLE:
        if re.search(pattern, text):
            return diagnosis
    return USAGE if text.startswith("UsageError:") else UNKNOWN


def diagnose_death(text: str) -> Diagnosis:
    """Return what the death of a worker means that left no word.

    Args:
        text: What Ray says of it.
    """
    if diagnose(text) is OUT_OF_MEMORY:
        return OUT_OF_MEMORY
    if re.search(
        r"node (was|has been|is) (marked )?(dead|terminated)|node (has )?died|NodeDied", text
    ):
        return HOST_LOST
    return KILLED
