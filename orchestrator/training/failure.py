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
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from orchestrator import errors
from orchestrator.storage.atomic import read_json, write_json
from orchestrator.storage.attempt import AttemptFolder
from orchestrator.storage.run_folder import RunFolder
from orchestrator.training.diagnosis import (
    CONTROLLER_LOST,
    KILLED,
    OUT_OF_MEMORY,
    PEER_GONE,
    UNRESPONSIVE,
    Diagnosis,
    diagnose,
    diagnose_death,
    lost_peer,
    unwrap,
)
from orchestrator.training.excerpt import excerpt, names_users_file, quoted_error
from orchestrator.training.last_words import LastWords

_OURS = errors.LaunchJobError.__module__


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
    #: Name of the class of `orchestrator.errors` that it is reported as.
    error: str = "RunFailedError"
    #: The lines of the traceback that matter.
    lines: tuple[str, ...] = ()
    #: The whole traceback.
    trace: str = ""
    #: The log to look into.
    log: str | None = None

    @classmethod
    def of(cls, error: BaseException, *, rank: int | None, code: Path | None = None) -> Failure:
        """Describe an exception that has just been caught.

        Args:
            error: The exception.
            rank: Rank of the worker that caught it.
            code: File or folder of the job, if it is known.
        """
        module, kind = type(error).__module__, type(error).__name__
        message, trace = str(error), "".join(traceback.format_exception(error))
        told = trace
        if module.startswith("tensorflow.") and (quoted := unwrap(message)):
            name, message, told = quoted
            module, _, kind = name.rpartition(".")
        elif quoted_message := quoted_error(message):
            kind, message = _parted(kind, quoted_message)
        ours = module == _OURS
        # What an error of ours was made of may be the user's, and its message is complete.
        about = error.__cause__ if ours and told is trace else None
        if about is not None:
            told = "".join(traceback.format_exception(about))
        found = diagnose(f"{kind}: {message}")
        return cls(
            rank=rank,
            host=socket.gethostname(),
            time_s=time.time(),
            kind=kind,
            message=message if ours else _short(message),
            hint=getattr(error, "hint", None) or found.hint,
            cause=found.cause,
            retryable=found.retryable,
            ours=ours,
            error=kind if ours else found.error,
            lines=excerpt(told, code=code)
            if not ours or (about and names_users_file(told, code=code))
            else (),
            trace=trace,
        )

    def write(self, attempt: AttemptFolder) -> None:
        """Write it to the attempt's folder."""
        assert self.rank is not None
        write_json(attempt.failure(self.rank), asdict(self))

    @classmethod
    def read(cls, path: Path) -> Failure:
        """Read what `write` wrote.

        Raises:
            UnavailableError: It isn't there, or is damaged.
        """
        values = read_json(path)
        return cls(**{**values, "lines": tuple(values["lines"])})

    def to_error(self) -> errors.LaunchJobError:
        """Return the error to report for it: ours as it was, any other by its cause."""
        kind: type[errors.LaunchJobError] = getattr(errors, self.error)
        if self.ours:
            return kind(self.message, hint=self.hint, details=self.lines)
        where = () if self.log is None else (f"Log: {self.log}",)
        return kind(self.summary, hint=self.hint, details=(*self.lines, *where))

    @property
    def summary(self) -> str:
        """What happened, in a sentence or two."""
        if self.rank is None or self.kind == _DIED:
            return self.message
        return f"Rank {self.rank} on {self.host} failed: {self.kind}: {self.message}"


#: Kind of a failure that left no exception.
_DIED = "Died"


class RankFailedError(Exception):
    """A worker failed.

    Args:
        failure: What it has written down, if it could write.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure

    def __str__(self) -> str:
        return f"{self.failure.kind}: {self.failure.message}"


def first_failure(attempt: AttemptFolder, error: BaseException) -> Failure:
    """Return the failure that came first.

    One whose cause is known goes before a rank that vanished, and that before exceptions that may
    well be its consequence; ranks that say they lost another come last.

    Args:
        attempt: The attempt, in whose folder workers wrote theirs.
        error: What Ray Train's `fit` raised.
    """
    run = attempt.run
    deaths: Mapping[int, BaseException] = getattr(error, "worker_failures", {})
    told = {failure.rank: failure for failure in map(Failure.read, attempt.failures())}
    vanished = []
    for rank, death in sorted(deaths.items()):
        if rank in told:
            continue
        if isinstance(death, RankFailedError):
            told[rank] = death.failure
        elif type(death).__module__.partition(".")[0] == "ray":
            vanished.append(_vanished(run, rank, death))
        else:
            # It failed before it could listen, or write.
            told[rank] = replace(Failure.of(death, rank=rank), host=_host(run, rank))
    in_time = sorted(told.values(), key=lambda failure: failure.time_s)
    telling = [failure for failure in in_time if failure.cause != PEER_GONE]
    found = [
        *(failure for failure in telling if failure.cause != "error"),
        *vanished,
        *telling,
        *_lost_peers(run, in_time),
        *in_time,
    ]
    first = found[0] if found else _without_worker(run, error)
    return first if first.rank is None else replace(first, log=str(run.rank_log(first.rank)))


def _vanished(run: RunFolder, rank: int, death: BaseException) -> Failure:
    """Describe a worker that died without a word."""
    text = f"{type(getattr(death, 'health_check_failure', death)).__name__}: {death}"
    found = diagnose_death(text)
    process = re.search(r"\bpid[=:]\s*(\d+)", text)
    pid = int(process[1]) if process else None
    words = LastWords.read(run.rank_log(rank), pid=pid)
    if found is KILLED and words and words.out_of_memory:
        found = OUT_OF_MEMORY
    named = re.search(r"hostname='([^']+)'", text)
    host = named[1] if named else _host(run, rank)
    who = f"Rank {rank} on {host}" + (f" (process {pid})" if pid else "")
    lines = excerpt(words.crash) if words and words.crash else ()
    return _death(rank, host, found, f"{who} {_how(found, words)}.", lines=lines)


def _how(found: Diagnosis, words: LastWords | None) -> str:
    """Return how a worker ended, in words."""
    if found.cause == "host-lost":
        return "is gone with its host"
    if found.cause == "out-of-memory":
        return "was killed because memory ran out"
    if found.cause == "unresponsive":
        return "stopped answering"
    return f"crashed: {words.crash_name}" if words and words.crash else "was killed"


def _lost_peers(run: RunFolder, told: list[Failure]) -> list[Failure]:
    """Describe the ranks that others say they lost, and that nobody else tells of."""
    ranks = {failure.rank for failure in told}
    found = []
    for failure in told:
        peer = lost_peer(failure.trace) if failure.cause == PEER_GONE else None
        if peer is not None and peer not in ranks:
            silent = re.search("heartbeats|Deadline|alive failed", failure.trace)
            cause = UNRESPONSIVE if silent else KILLED
            host = _host(run, peer)
            words = LastWords.read(run.rank_log(peer))
            message = (
                f"Rank {peer} on {host} {_how(cause, words)}; "
                f"rank {failure.rank} on {failure.host} lost the connection to it."
            )
            found.append(_death(peer, host, cause, message))
    return found


def _host(run: RunFolder, rank: int) -> str:
    """Return the host that a rank was last on, by its log."""
    words = LastWords.read(run.rank_log(rank))
    return words.host if words else "an unknown host"


def _without_worker(run: RunFolder, error: BaseException) -> Failure:
    """Describe an attempt that failed though Ray names no worker."""
    text = f"{type(error).__name__}: {error}"
    found, message = diagnose(text), f"Ray Train failed: {_short(text)}"
    if found is OUT_OF_MEMORY:
        return _largest(run, text)
    if "TrainController" in text or type(error).__name__ in ("ActorDiedError", "RayActorError"):
        found, message = CONTROLLER_LOST, "Ray Train's controller has died."
    trace = "".join(traceback.format_exception(error))
    return _death(None, "", found, message, trace=trace)


def _largest(run: RunFolder, text: str) -> Failure:
    """Name the worker that took most memory when Ray killed all, its controller too."""
    taken = re.findall(r"RayTrainWorker.*?\bpid=(\d+), actual memory used=([\d.]+)GB", text)
    for process, gigabytes in sorted(taken, key=lambda pair: -float(pair[1])):
        for log in run.rank_logs():
            words = LastWords.read(log, pid=int(process))
            if words is not None:
                rank, host = int(log.stem.rpartition("-")[2]), words.host
                message = (
                    f"Rank {rank} on {host} (process {process}) was killed with {gigabytes} GB, "
                    "because memory ran out."
                )
                return _death(rank, host, OUT_OF_MEMORY, message)
    reason = re.search(r"was ([\d.]+GB used / [\d.]+GB)", text)
    seen = f" ({reason[1]})" if reason else ""
    return _death(None, "", OUT_OF_MEMORY, f"Ray killed the workers because memory ran out{seen}.")


def _death(
    rank: int | None,
    host: str,
    found: Diagnosis,
    message: str,
    *,
    lines: tuple[str, ...] = (),
    trace: str = "",
) -> Failure:
    return Failure(
        rank=rank,
        host=host,
        time_s=time.time(),
        kind=_DIED,
        message=message,
        hint=found.hint,
        cause=found.cause,
        retryable=found.retryable,
        ours=False,
        error=found.error,
        lines=lines,
        trace=trace,
    )


def _short(message: str) -> str:
    """Return a message without what TensorFlow and Keras wrap around it."""
    message = re.sub(r"\x1b\[[0-9;]*m|\{\{\S+ [^}]*\}\} ?", "", message)
    if "Graph execution error" in message:  # Before it: where in the graph it came up.
        message = message.rpartition("\n\n")[2]
    message = re.split(r"\[Op:|\nHint: |\nArguments received by", message)[0]
    lines = (line.strip() for line in message.splitlines())
    return " ".join(line for line in lines if line and not line.startswith("[["))[:500]


def _parted(kind: str, quoted: str) -> tuple[str, str]:
    """Return kind and message of an error that is quoted as `Kind: message`, if it is."""
    found = re.match(r"(?:\w+\.)*([A-Z]\w*)(?:: |$)", quoted)
    return (found[1], quoted[found.end() :]) if found else (kind, quoted)
