"""What can go wrong, as a caller has to tell it apart.

One root and one subclass for each decision a caller takes. The exit code of the
command line is a property of the error, so that no verb maps codes by hand.
"""

from __future__ import annotations


class LaunchJobError(Exception):
    """Anything launch-job reports to a person: what went wrong, and what to do next.

    Args:
        message: What happened and to which thing, in one or a few sentences.
        hint: What to do next; printed on a line of its own.
        details: Further lines for who looks into it, such as those of a traceback.
    """

    exit_code = 1

    def __init__(
        self, message: str, *, hint: str | None = None, details: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments don't survive the default pickling, and errors cross processes.
        return _rebuild, (type(self), self.message, self.hint, self.details)


def _rebuild(
    kind: type[LaunchJobError], message: str, hint: str | None, details: tuple[str, ...]
) -> LaunchJobError:
    return kind(message, hint=hint, details=details)


class UsageError(LaunchJobError):
    """The command line, or a file that the user gave, is wrong: change it and run again."""

    exit_code = 2


class UnavailableError(LaunchJobError):
    """A cluster, the storage or a download can't be reached: the same request may work later."""

    exit_code = 3


class DataUnavailableError(UnavailableError):
    """A dataset's files can't be had: another dataset, or a local copy, may do."""


class RunFailedError(LaunchJobError):
    """The run started and did not succeed: its folder tells why."""


class StoppedError(LaunchJobError):
    """The user interrupted the run."""

    exit_code = 130
