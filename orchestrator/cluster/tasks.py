"""Work that is no training, done by Ray tasks on all machines of a place."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from orchestrator.catalog.discovery import MODULE_PREFIX
from orchestrator.errors import LaunchJobError

Item = TypeVar("Item")

#: How often whoever waits is told that work goes on.
_TELL_EVERY_S = 0.5

#: A task whose machine died is begun again elsewhere; it goes on where its notes say.
_RETRIES = 5

#: How long to wait for the end of tasks that were told to end.
_END_S = 30.0


def each(
    function: Callable[[Item], None],
    items: Sequence[Item],
    tell: Callable[[], None],
    *,
    cpus: int = 1,
) -> None:
    """Call a function with each item, in tasks; Ray must be up.

    Args:
        function: What to call; it has to bear being called twice.
        items: With what.
        tell: Called now and then while tasks are at work.
        cpus: CPUs that a task takes, as Ray counts them.

    Raises:
        LaunchJobError: As a call did; the others are ended.
    """
    import ray
    from ray import cloudpickle
    from ray.exceptions import RayTaskError

    # Content files are no modules that a machine could import: what they define travels along.
    for name, module in list(sys.modules.items()):
        if name.startswith(MODULE_PREFIX):
            cloudpickle.register_pickle_by_value(module)
    task: Any = ray.remote(num_cpus=cpus, max_retries=_RETRIES)(_call)
    waiting: list[Any] = [task.remote(function, item) for item in items]
    try:
        while waiting:
            done, waiting = ray.wait(waiting, timeout=_TELL_EVERY_S)
            ray.get(done)
            tell()
    except RayTaskError as err:
        if isinstance(err.cause, LaunchJobError):
            raise err.cause from None
        raise
    finally:
        for reference in waiting:
            ray.cancel(reference, force=True)
        # Whoever is told of an error may clear up at once: nobody writes any more by then.
        if waiting:
            ray.wait(waiting, num_returns=len(waiting), timeout=_END_S)


def _call(function: Callable[[Item], None], item: Item) -> None:
    try:
        function(item)
    except LaunchJobError as err:
        err.message = f"On {socket.gethostname()}: {err.message}"
        raise
