"""Why a worker failed, written down by the worker itself.

What Ray hands to the driver has lost its type and its time by then; and of the ranks that fail,
only the first tells the cause, the others fail because it is gone.
"""

from __future__ import annotations

import socket
import time
import traceback
from dataclasses import asdict, dataclass

from orchestrator import errors
from orchestrator.storage import RunFolder, read_json, write_json


@dataclass(frozen=True, kw_only=True)
class Failure:
    """The exception that ended a worker."""

    #: Rank of the worker.
    rank: int
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
    #: The traceback.
    trace: str
    cause: str = "error"
    lines: tuple[str, ...] = ()

    @property
    def retryable(self) -> bool:
        """Whether another attempt may end differently."""
        return not hasattr(errors, self.kind) or self.kind == "UnavailableError"

    @classmethod
    def of(cls, error: BaseException, *, rank: int) -> Failure:
        """Describe an exception that has just been caught."""
        return cls(
            rank=rank,
            host=socket.gethostname(),
            time_s=time.time(),
            kind=type(error).__name__,
            message=str(error),
            hint=getattr(error, "hint", None),
            trace="".join(traceback.format_exception(error)),
        )

    def write(self, run: RunFolder) -> None:
        """Write it to the run's folder."""
        write_json(run.failure(self.rank), asdict(self))

    def to_error(self) -> errors.LaunchJobError:
        """Return the error to report for it: ours as it was, any other as a failed run."""
        known = getattr(errors, self.kind, None)
        if isinstance(known, type) and issubclass(known, errors.LaunchJobError):
            return known(self.message, hint=self.hint)
        return errors.RunFailedError(
            f"Rank {self.rank} on {self.host} failed: {self.kind}: {self.message}", hint=self.hint
        )


def first_failure(run: RunFolder, error: BaseException) -> Failure:
    """Return the failure that came first, or None if no worker wrote one."""
    found = [Failure(**read_json(path)) for path in run.failures()]
    return min(found, key=lambda failure: failure.time_s, default=None) or Failure.of(error, rank=0)


def clear_failures(run: RunFolder) -> None:
    """Forget the failures of an earlier attempt."""
    for path in run.failures():
        path.unlink()
