"""What processes that are forked after Ray was imported must not have in common."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def untouched_randomness() -> Iterator[None]:
    """Have modules that use Ray imported without a draw from the random source of Ray's core.

    The core seeds that source (Abseil's) from the system when it is first drawn from. Processes
    forked after that go on from the same state, so all of them make the same "random" identifiers:
    the controllers of two attempts took one placement group for theirs, and the first one's cleaner
    removed it from under the second. The only draw of an import is the identifier of each class
    that `@ray.remote` decorates; the system gives those here.
    """
    import ray.actor

    module: Any = ray.actor
    own = module.ActorClassID

    class _FromSystem:
        @staticmethod
        def from_random() -> Any:
            return own(os.urandom(own.size()))

    module.ActorClassID = _FromSystem
    try:
        yield
    finally:
        module.ActorClassID = own
