"""What a node must have before a run's workers may start there.

`look` runs on each node. Its module imports nothing slow, and nothing that a node may lack.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

#: Packages whose versions must be the same everywhere. Ray sees to Python and to itself.
PACKAGES = ("keras", "launch-job", "numpy", "tensorflow")


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What a node has."""

    #: Its name.
    host: str
    #: SHA-256 of each file, or None where it can't be read.
    files: Mapping[str, str | None]
    #: Version of each package, or None where it isn't installed.
    versions: Mapping[str, str | None]

    def complaint(self, expected: Sight) -> str | None:
        """Say what is not as expected; None if all is."""
        for path, digest in expected.files.items():
            if self.files[path] is None:
                return f"can't read {path}"
            if self.files[path] != digest:
                return f"has another {path}"
        for package, wanted in expected.versions.items():
            if (found := self.versions[package]) != wanted:
                return f"has {package} {found or '(not installed)'}, not {wanted}"
        return None


def look(files: Iterable[str]) -> Sight:
    """Look at this node.

    Args:
        files: Paths of the files that must be here.
    """
    return Sight(
        host=socket.gethostname(),
        files={path: _digest(path) for path in files},
        versions={package: _version(package) for package in PACKAGES},
    )


def _digest(path: str) -> str | None:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
