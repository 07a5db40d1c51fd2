"""Having a cluster install, for one run, what a project's lock file names."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.storage.atomic import storage_errors, write_atomic
from orchestrator.storage.storage import Storage

#: The lock file, beside cluster.yaml.
LOCK = "requirements.lock"


def locked_environment(project: Path | None, storage: Storage) -> dict[str, Any]:
    """Return the runtime environment that has what a project's lock file names.

    Ray installs it once on each node, by uv, on top of what the node has. The lock is put where all
    nodes see it, named by its content: the same lock is then the same environment, whatever else of
    the project changes. Listed in the environment itself, its hashes would be more than Linux lets
    a process have as one variable, and Ray hands the environment to the driver as that. launch-job
    is on no package index, so its files travel along, unless the project is launch-job.

    Raises:
        UsageError: There is no lock file.
        UnavailableError: The storage can't be written.
    """
    lock = None if project is None else project / LOCK
    if lock is None or not lock.is_file():
        raise UsageError(
            f"--install needs a {LOCK} beside the project's cluster.yaml.",
            hint="`uv pip compile --generate-hashes pyproject.toml -o requirements.lock` writes "
            "one.",
        )
    with storage_errors(lock):
        content = lock.read_bytes()
    kept = storage.lock(hashlib.sha256(content).hexdigest())
    if not kept.is_file():
        write_atomic(kept, content)
    own = Path(__file__).resolve().parents[1]
    travels = own.is_relative_to(lock.parent.resolve())
    return {"uv": {"packages": [f"-r {kept}"]}, **({} if travels else {"py_modules": [str(own)]})}
