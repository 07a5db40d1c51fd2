"""What happens where the reader of a pipe has gone, as in `launch-job ls | head -1`."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator

import click


@contextlib.contextmanager
def reader_may_go() -> Iterator[None]:
    """End as any program does whose reader has gone, such as `head`.

    Click and Rich would end with 1, which says that a run failed.
    """
    try:
        yield
    except (BrokenPipeError, SystemExit) as err:
        if not isinstance(err, BrokenPipeError) and not isinstance(
            err.__context__, BrokenPipeError
        ):
            raise
        # What is still buffered has no one to go to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise click.exceptions.Exit(128 + signal.SIGPIPE) from err
