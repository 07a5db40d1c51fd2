"""The warm cluster of this machine: an embedded Ray that is kept for the next run.

`launch-job cluster start` brings it up (`warm_keeper.py`), and runs without an address find it by
themselves (`warm_ray.py`). It is one for each user and machine. What it is stands in a file of a
folder that is the user's alone; two locks, which the kernel frees when their holder dies, tell
whether its keeper lives and whether a run is on it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orchestrator.cluster.token import token_path
from orchestrator.errors import UnavailableError
from orchestrator.provenance import installed_versions
from orchestrator.storage.atomic import read_json, storage_errors, write_json

#: Someone who only looks holds a lock for microseconds; who wants it tries again that often.
_ATTEMPTS, _PAUSE_S = 5, 0.01

_PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, kw_only=True)
class WarmCluster:
    """A cluster that is kept, as its keeper wrote it down."""

    #: Process number of its keeper.
    pid: int
    #: `host:port` of its head.
    address: str
    #: Address of its dashboard, without a scheme.
    dashboard: str
    #: Socket of its fork servers.
    socket: str
    #: CPUs that Ray counts: workers that fit on it at once.
    cpus: int
    #: Seconds without a run after which it ends.
    idle_s: float
    #: When it was started (ISO 8601, UTC).
    started_at: str
    #: Digest of its token.
    token: str
    #: Digest of the Python, the packages and the launch-job that its processes have imported.
    code: str

    def unfit(self, workers: int) -> str | None:
        """Say why a run of this process, with so many workers, can't use it; None if it can."""
        if self.code != code_digest():
            return "was started by another Python or by another version of launch-job"
        if self.token != token_digest():
            return "has another token"
        if workers > self.cpus:
            return f"has room for {self.cpus} workers"
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def warm_folder() -> Path:
    """Return the folder of this user's warm cluster on this machine."""
    return Path(tempfile.gettempdir()) / f"launch-job-warm-{os.getuid()}"


def make_folder() -> None:
    """Make the folder, which nobody else can look into.

    Raises:
        UnavailableError: It can't be made, or somebody else has made it.
    """
    folder = warm_folder()
    with storage_errors(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
    if not _is_private(folder):
        raise UnavailableError(
            f"{folder} is not a folder of yours alone.", hint="Remove it, or have it removed."
        )


def _is_private(folder: Path) -> bool:
    """Return whether a folder is there, is no link, and nobody else can write or read it."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


def keep_record(found: WarmCluster) -> None:
    """Write a cluster's record down for runs to find."""
    write_json(_record(), found.to_dict())


def forget_record() -> None:
    """Remove the record: runs look for a cluster no more."""
    _record().unlink(missing_ok=True)


def find_warm() -> WarmCluster | None:
    """Return the cluster that is kept on this machine; None if there is none."""
    if not is_kept():
        return None
    try:
        return WarmCluster(**read_json(_record()))
    except (UnavailableError, TypeError):
        return None  # It is just starting or ending, or of an older launch-job.


def is_kept() -> bool:
    """Return whether a keeper lives; its cluster may be just starting or ending."""
    return _is_private(warm_folder()) and not keeper_lock().is_free()


def code_digest() -> str:
    """Return a digest of what a process imports that was started now."""
    files = sorted(_PACKAGE.rglob("*.py"))
    states = [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    known = [sys.executable, installed_versions(), states]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()


def token_digest() -> str:
    """Return a digest of the token that this process would show a cluster."""
    token = os.environ.get("RAY_AUTH_TOKEN", "")
    if not token:
        with contextlib.suppress(OSError):
            token = token_path().read_text()
    return hashlib.sha256(token.strip().encode()).hexdigest()


class WarmLock:
    """A lock that many may hold together, or one alone.

    Args:
        path: Its file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextlib.contextmanager
    def held(self, *, alone: bool) -> Iterator[bool]:
        """Hold it during the block; yield whether it could be had.

        Whoever only looks holds it for microseconds, so this tries a few times.
        """
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
        try:
            for _ in range(_ATTEMPTS):
                had = _lock(handle, kind)
                if had:
                    break
                time.sleep(_PAUSE_S)
            yield had
        finally:
            os.close(handle)

    def is_free(self) -> bool:
        """Return whether nobody holds it alone."""
        with self.held(alone=False) as had:
            return had


def keeper_lock() -> WarmLock:
    """Return the lock that the keeper holds alone as long as it lives."""
    return WarmLock(warm_folder() / "keeper.lock")


def use_lock() -> WarmLock:
    """Return the lock that runs on the cluster hold together; its keeper takes it to end."""
    return WarmLock(warm_folder() / "use.lock")


def keeper_log() -> Path:
    """Return the file that the keeper writes to."""
    return warm_folder() / "keeper.log"


def _record() -> Path:
    return warm_folder() / "cluster.json"


def _lock(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
