"""Having a cluster install, for one run, what a project's lock file names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.atomic import storage_errors
from orchestrator.errors import UsageError

#: The lock file, beside cluster.yaml.
LOCK = "requirements.lock"


def locked_environment(project: Path | None) -> dict[str, Any]:
    """Return the runtime environment that has what a project's lock file names.

    Ray installs it once on each node, by uv, on top of what the node has. launch-job itself is on
    no package index, so its files travel along, unless the project is launch-job.

    Raises:
        UsageError: There is no lock file.
    """
    lock = None if project is None else project / LOCK
    if lock is None or not lock.is_file():
        raise UsageError(
            f"--install needs a {LOCK} beside the project's cluster.yaml.",
            hint="`uv pip compile --generate-hashes pyproject.toml -o requirements.lock` writes "
            "one.",
        )
    with storage_errors(lock):
        packages = requirements(lock.read_text())
    own = Path(__file__).resolve().parents[1]
    travels = own.is_relative_to(lock.parent.resolve())
    return {
        "uv": {"packages": packages},
        **({} if travels else {"py_modules": [str(own)]}),
    }


def requirements(lock: str) -> list[str]:
    """Return the requirements of a lock file, one a line, each with its hashes.

    Args:
        lock: Text of the file, in which a requirement may go over several lines.
    """
    joined = lock.replace("\\\n", " ")
    lines = (" ".join(line.split()) for line in joined.splitlines())
    return [line for line in lines if line and not line.startswith("#")]
