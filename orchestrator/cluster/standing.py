"""The clusters that were brought up from this machine, and how they are reached from it."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from orchestrator.cluster.ssh import Login
from orchestrator.storage.atomic import read_json, storage_errors, write_json


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A cluster that `launch-job cluster up` has brought up and nothing has taken down since."""

    #: The cluster launcher's file.
    file: str
    #: Name of the cluster.
    name: str
    #: How its machines are logged into.
    login: Login
    #: Port of the dashboard on the head.
    dashboard_port: int

    @classmethod
    def find(cls, file: Path) -> Standing | None:
        """Return the cluster of a file; None if it wasn't brought up from here."""
        record = _record(file)
        if not record.is_file():
            return None
        values = read_json(record)
        return cls(**{**values, "login": Login(**values["login"])})

    def keep(self) -> None:
        """Remember it."""
        write_json(_record(Path(self.file)), dataclasses.asdict(self))

    def forget(self) -> None:
        """Remember it no longer."""
        record = _record(Path(self.file))
        with storage_errors(record):
            record.unlink(missing_ok=True)

    def dashboard(self) -> str:
        """Return the dashboard's address as it is reached from here, through a tunnel.

        Raises:
            UnavailableError: The head can't be reached.
        """
        return _tunnel(self.login, self.dashboard_port)


@cache
def _tunnel(login: Login, port: int) -> str:
    return login.tunnel(port)


def _record(file: Path) -> Path:
    root = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    digest = hashlib.sha256(str(file.absolute()).encode()).hexdigest()[:16]
    return Path(root) / "launch-job" / "clusters" / f"{digest}.json"
