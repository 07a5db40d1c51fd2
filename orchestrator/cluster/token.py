"""The token that every client of a Ray cluster has to show.

Ray writes one by itself where there is none, readable by everybody (mode 0644). This one is
written first, for the user alone, at the place where Ray's own tools look for it.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from orchestrator.storage import storage_errors


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
        if not path.exists() or not path.read_text().strip():
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "w") as file:
                file.write(secrets.token_hex(32))
        path.chmod(0o600)
    return path
