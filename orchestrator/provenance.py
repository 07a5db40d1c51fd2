"""What a run's code and surroundings were, so that it can be asked for again."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

#: Packages whose versions decide what a run computes.
_PACKAGES = ("launch-job", "ray", "tensorflow", "keras", "numpy", "pyarrow", "deltalake")

#: A longer diff is cut: it is a record for people, not a backup.
_DIFF_CHARACTERS = 200_000


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """The code, the versions and the machine of a run."""

    #: SHA-256 of the job's file.
    code_digest: str
    #: Commit that the project's repository stood at; None outside of one.
    git_commit: str | None
    #: What differed from that commit.
    git_diff: str
    #: Version of each package, and of Python.
    versions: dict[str, str]
    #: Name of the machine that asked for the run.
    host: str

    @classmethod
    def collect(cls, job_path: Path) -> Provenance:
        """Look at the job's file, its repository and the installed packages."""
        folder = job_path.parent
        return cls(
            code_digest=hashlib.sha256(job_path.read_bytes()).hexdigest(),
            git_commit=_git(folder, "rev-parse", "HEAD"),
            git_diff=(_git(folder, "diff", "HEAD") or "")[:_DIFF_CHARACTERS],
            versions=installed_versions(),
            host=platform.node(),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def installed_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide what a run computes."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _git(folder: Path, *args: str) -> str | None:
    """Return what git says, or None where it has nothing to say."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *args],
            capture_output=True,
            encoding="utf-8",
            # A diff holds files as they are, in whatever encoding.
            errors="replace",
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
