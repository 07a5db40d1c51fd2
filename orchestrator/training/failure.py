"""Why an attempt failed: the first worker that did, in its own words where it left some.

What Ray hands to the driver has lost its type and its time by then; and of the ranks that fail,
only the first tells the cause, the others fail because it is gone. So each worker writes its
failure down before it ends. One that was killed can't; then Ray tells that it vanished.
"""

from __future__ import annotations

import re
import socket
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestrator import errors
from orchestrator.storage import RunFolder, read_json, write_json
from orchestrator.training.diagnosis import (
    CONTROLLER_LOST,
    PEER_GONE,
    Diagnosis,
    diagnose,
    diagnose_death,
)

#: Packages whose frames tell a user nothing.
_INNER = ("/tensorflow/", "/keras/src/", "/ray/", "/threading.py", "/concurrent/futures/")

#: Most lines of a traceback that are shown.
_LINES = 8


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What ended a worker."""

    #: Rank of the worker; None if it was no worker that failed.
    rank: int | None
    #: Host it ran on.
    host: str
    #: Seconds since 1970, UTC.
    time_s: float
    #: Name of the exception's type.
    kind: str
    #: Its message.
    message: str
    #: What to do next, if that is known.
    hint: str | None
    #: A word for the cause.
    cause: str
    #: Whether another attempt may end differently.
    retryable: bool
    #: Whether the exception is one of launch-job's own.
    ours: bool
    #: The lines of the traceback that matter.
    lines: tuple[str, ...] = ()
    #: The whole traceback.
    trace: str = ""

    @classmethod
    def of(cls, error: BaseException, *, rank: int | None) -> Failure:
        """Describe an exception that has just been caught."""
        kind, message = type(error).__name__, _short(str(error))
        ours = isinstance(error, errors.LaunchJobError)
        found = diagnose(f"{kind}: {error}")
        return cls(
            rank=rank,
            host=socket.gethostname(),
            time_s=time.time(),
            kind=kind,
            message=message,
            hint=getattr(error, "hint", None) or found.hint,
            cause=found.cause,
            retryable=found.retryable,
            ours=ours,
            lines=() if ours else _lines_that_matter(error),
            trace="".join(traceback.format_exception(error)),
        )

    def write(self, run: RunFolder) -> None:
        """Write it to the run's folder."""
        assert self.rank is not None
        write_json(run.failure(self.rank), asdict(self))

    @classmethod
    def read(cls, path: Path) -> Failure:
        """Read what `write` wrote.

        Raises:
            UnavailableError: It isn't there, or is damaged.
        """
        values = read_json(path)
        return cls(**{**values, "lines": tuple(values["lines"])})

    def to_error(self) -> errors.LaunchJobError:
        """Return the error to report for it: ours as it was, any other as a failed run."""
        if self.ours:
            kind: type[errors.LaunchJobError] = getattr(errors, self.kind)
            return kind(self.message, hint=self.hint)
        return errors.RunFailedError(self.summary, hint=self.hint, details=self.lines)

    @property
    def summary(self) -> str:
        """What happened, in a sentence or two."""
        if self.rank is None or self.cause in ("killed", "host-lost"):
            return self.message
        return f"Rank {self.rank} on {self.host} failed: {self.kind}: {self.message}"


def first_failure(run: RunFolder, error: BaseException) -> Failure:
    """Return the failure that came first.

    Args:
        run: The run, in whose folder workers wrote theirs.
        error: What Ray Train's `fit` raised.
    """
    written = sorted((Failure.read(path) for path in run.failures()), key=lambda f: f.time_s)
    telling = [failure for failure in written if failure.cause != PEER_GONE]
    vanished = [
        _vanished(run, rank, death)
        for rank, death in sorted(getattr(error, "worker_failures", {}).items())
        if not run.failure(rank).is_file()
    ]
    found = [*telling, *vanished, *written]
    return found[0] if found else _without_worker(error)


def clear_failures(run: RunFolder) -> None:
    """Forget the failures of an earlier attempt."""
    for path in run.failures():
        path.unlink()


def _vanished(run: RunFolder, rank: int, death: BaseException) -> Failure:
    """Describe a worker that died without a word."""
    text = f"{type(getattr(death, 'health_check_failure', death)).__name__}: {death}"
    found = diagnose_death(text)
    named = re.search(r"hostname='([^']+)'", text)
    host = named[1] if named else "an unknown host"
    process = re.search(r"\bpid[=:]\s*(\d+)", text)
    who = f"Rank {rank} on {host}" + (f" (process {process[1]})" if process else "")
    return _death(rank, host, found, f"{who} {_how(run, rank, found)}.")


def _how(run: RunFolder, rank: int, found: Diagnosis) -> str:
    """Return how a worker ended, in words."""
    if found.cause == "host-lost":
        return "is gone with its host"
    if found.cause == "out-of-memory":
        return "was killed because memory ran out"
    crash = _crash(run.rank_log(rank))
    return f"crashed: {crash}" if crash else "was killed"


def _crash(log: Path) -> str | None:
    """Return what a rank's log says last of a crash of its own."""
    try:
        tail = log.read_bytes()[-20_000:].decode(errors="replace")
    except OSError:
        return None
    found = re.findall(r"Fatal Python error: ([^\n]+)|\*\*\* (SIG\w+) received", tail)
    return next((part for part in found[-1] if part), None) if found else None


def _without_worker(error: BaseException) -> Failure:
    """Describe an attempt that failed though no worker did: Ray Train's controller is gone."""
    text = f"{type(error).__name__}: {error}"
    found, message = diagnose(text), f"Ray Train failed: {_short(text)}"
    if "TrainController" in text or type(error).__name__ in ("ActorDiedError", "RayActorError"):
        found, message = CONTROLLER_LOST, "Ray Train's controller has died."
    return _death(None, "", found, message, trace=text)


def _death(
    rank: int | None, host: str, found: Diagnosis, message: str, *, trace: str = ""
) -> Failure:
    return Failure(
        rank=rank,
        host=host,
        time_s=time.time(),
        kind="Died",
        message=message,
        hint=found.hint,
        cause=found.cause,
        retryable=found.retryable,
        ours=False,
        trace=trace,
    )


def _short(message: str) -> str:
    """Return a message without what TensorFlow wraps around it: where in the graph it came up."""
    if "Graph execution error" in message:
        message = message.rpartition("\n\n")[2]
    lines = (line.strip() for line in message.splitlines())
    kept = [line for line in lines if line and not line.startswith("[[")]
    return " ".join(kept)[:500]


def _lines_that_matter(error: BaseException) -> tuple[str, ...]:
    """Return the last frames that are the job's or launch-job's own; the last one if none is."""
    frames = traceback.extract_tb(error.__traceback__)
    telling = [frame for frame in frames if not any(part in frame.filename for part in _INNER)]
    lines = [
        f"{frame.filename}, line {frame.lineno}, in {frame.name}: {frame.line or ''}".rstrip(": ")
        for frame in telling or frames[-1:]
    ]
    return tuple(lines[-_LINES:])
