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
    #: Name of the class of `orchestrator.errors` that it is reported as.
    error: str = "RunFailedError"


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
UNRESPONSIVE = Diagnosis(
    cause="unresponsive",
    retryable=True,
    hint="Its process was stopped, or its host is overloaded or cut off.",
)
COLLATERAL = Diagnosis(
    cause=PEER_GONE,
    retryable=True,
    hint="If all hosts are well, look for a firewall: workers talk to each other on any port.",
)
CONTROLLER_LOST = Diagnosis(cause="controller-lost", retryable=True)

_TABLE: tuple[tuple[str, Diagnosis], ...] = (
    # First, since it quotes what the other rank died of.
    (
        (
            r"from remote target|Error reported from /job|stopped sending heartbeats"
            r"|cluster check alive failed|on the same machine, is gone"
            r"|^(Cancelled|Aborted|DeadlineExceeded)Error: "
        ),
        COLLATERAL,
    ),
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
            error="UnavailableError",
        ),
    ),
    (
        r"\.arrow can't be used|manifest\.json is missing or damaged",
        Diagnosis(
            cause="shards-gone",
            retryable=True,
            hint="Remove the prepared dataset's folder; the next run prepares it anew.",
            error="UnavailableError",
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
        r"CUDA_ERROR_NO_DEVICE|no CUDA-capable device|sees no GPU|Could not satisfy.*GPU",
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
        COLLATERAL,
    ),
    (
        r"Read-only file system|Stale file handle|Input/output error|Can't use ",
        Diagnosis(
            cause="storage",
            retryable=True,
            hint="Look whether the storage is mounted and can be written on that host.",
            error="UnavailableError",
        ),
    ),
)

#: A Python exception that TensorFlow quotes: raised by what feeds it, or what it calls back.
_QUOTED = re.compile(
    r"(?P<trace>Traceback \(most recent call last\):\n(?:\s*\n|[ \t]+.*\n)*"
    r"(?P<kind>[A-Za-z_][\w.]*): (?P<message>.*))"
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
    if "health check has been hanging" in text:
        return UNRESPONSIVE
    if re.search(
        r"node (was|has been|is) (marked )?(dead|terminated)|node (has )?died|NodeDied", text
    ):
        return HOST_LOST
    return KILLED


def unwrap(message: str) -> tuple[str, str, str] | None:
    """Return the Python exception that a message of TensorFlow's quotes, if it quotes one.

    What feeds TensorFlow raises in Python; TensorFlow then raises an error of its own, whose type
    says nothing.

    Returns:
        Its type, with the module unless that is Python's own, its message and its traceback.
    """
    quoted = list(_QUOTED.finditer(message))  # What an exception was raised from comes before it.
    last = quoted[-1] if quoted else None
    return (last["kind"], last["message"], last["trace"]) if last else None


def lost_peer(message: str) -> int | None:
    """Return the rank that a survivor's message names as gone, if it names one."""
    found = re.search(
        r"(?:remote target|Error reported from|alive failed,)\s*/job:worker/\S*task:(\d+)"
        r"|Rank (\d+), on the same machine, is gone",
        message,
    )
    return int(found[1] or found[2]) if found else None
