"""Values that a run needs and nobody else may see: passwords, keys of object stores.

Only their names are part of a request. Their values go from the environment of whoever asks to the
processes of the run: with a Ray of its own, they are inherited. To a cluster, a file in the run's
folder takes them that its user alone may read, for as long as the run goes on. Ray's own way, a
runtime environment's variables, would show them on the dashboard and in lists of processes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from orchestrator.errors import UsageError
from orchestrator.storage.atomic import read_json, storage_errors

#: Environment variable of a run's processes that names the file.
FILE = "LAUNCH_JOB_SECRETS"


def check_secrets(names: Iterable[str]) -> None:
    """Make sure that this process has all of them.

    Raises:
        UsageError: One isn't in its environment.
    """
    for name in names:
        if name not in os.environ:
            raise UsageError(
                f"--secret {name}: there is no such variable in the environment.",
                hint=f"`read -rs {name} && export {name}` sets it without showing it.",
            )


def write_secrets(path: Path, names: Iterable[str]) -> None:
    """Write the values of this process into a file that only the user may read.

    Args:
        path: The file; with no names, none is written, and one that is there goes.
        names: Names of variables that are in the environment.

    Raises:
        UnavailableError: The storage can't be written.
    """
    values = {name: os.environ[name] for name in names}
    with storage_errors(path):
        path.unlink(missing_ok=True)
        if not values:
            return
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(json.dumps(values))


def take_secrets(path: Path) -> bool:
    """Take the values of a file into this process's environment.

    Returns:
        Whether there were any; then processes that this one starts find the file as well
        (`load_secrets`).

    Raises:
        UnavailableError: The file can't be read.
    """
    if not path.is_file():
        return False
    os.environ.update(read_json(path))
    os.environ[FILE] = str(path)
    return True


def load_secrets() -> None:
    """Take the values in: Ray calls this in each process of the run, before anything else."""
    take_secrets(Path(os.environ[FILE]))
