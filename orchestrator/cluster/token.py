"""The token that every client of a Ray cluster has to show.

Ray writes one by itself where there is none, readable by everybody (mode 0644). This one is
written first, for the user alone, at the place where Ray's own tools look for it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

from orchestrator.storage.atomic import storage_errors


def token_path() -> Path:
    """Return the file that holds the token: RAY_AUTH_TOKEN_PATH, or Ray's default."""
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    return Path(named) if named else Path.home() / ".ray" / "auth_token"


def ensure_token() -> Path:
    """Make sure that there is a token and that only the user can read it.

    Returns:
        The file that holds it.

    Raises:
        UnavailableError: The file can't be written.
    """
    path = token_path()
    with storage_errors(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists() and not path.read_text().strip():
            path.unlink()
        if not path.exists():
            _write_new(path)
        path.chmod(0o600)
    return path


def _write_new(path: Path) -> None:
    """Write a token, unless another run has just written one: clusters of both would need it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32))
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        os.unlink(temporary)


def has_token() -> bool:
    """Say whether there is a token that a cluster could be shown."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return True
    try:
        return bool(token_path().read_text().strip())
    except OSError:
        return False
