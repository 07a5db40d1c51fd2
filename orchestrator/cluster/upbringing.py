"""Bringing a cluster up and down through Ray's own launcher, and making sure that it is.

Ray's launcher says that all went well when it did not: a machine may be missing from a cluster that
is up, and Ray may go on running on one that was taken down. So what it says is proved here.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.cluster.certificates import Certificates
from orchestrator.cluster.cluster_file import ClusterFile
from orchestrator.cluster.mending import mended
from orchestrator.cluster.nodes import NodeSummary, list_nodes
from orchestrator.cluster.remnants import end_ray
from orchestrator.cluster.ssh import Login
from orchestrator.cluster.standing import Standing
from orchestrator.cluster.token import ensure_token
from orchestrator.errors import UnavailableError, UsageError

#: How long machines may take to join once the head is up.
_JOIN_S = 300.0

#: How often it is looked whether they have.
_LOOK_S = 1.0

#: Of what Ray's launcher said, lines that are told where it failed.
_LAST_LINES = 15


def bring_up(
    file: ClusterFile, *, tls: bool, tell: Callable[[str], None], verbose: bool
) -> tuple[Standing, list[NodeSummary]]:
    """Bring a cluster up, and wait until all of its machines are there.

    Args:
        file: The cluster launcher's file.
        tls: Whether Ray's own traffic is to be encrypted.
        tell: Told what happens.
        verbose: Whether Ray's launcher may speak for itself.

    Returns:
        The cluster, and its nodes.

    Raises:
        UsageError: There are no certificates for it, or its dashboard would be open to all.
        UnavailableError: Ray's launcher failed, or a machine has not joined.
    """
    _check_closed(file)
    token = ensure_token()
    certificates = _certificates(file) if tls else None
    config = mended(file, token=token, tls=certificates)
    tell(f"Bringing up {file.name} …")
    with _written(config) as path:
        _ray(file, ["up", "--yes", "--no-config-cache", str(path)], verbose=verbose)
        head = file.head or _head_of(file, path)
    standing = Standing(
        file=str(file.path),
        name=file.name,
        login=Login.of(head, file.config.get("auth", {})),
        dashboard_port=file.dashboard_port,
    )
    standing.keep()
    return standing, _await_nodes(file, standing, tell)


def take_down(file: ClusterFile, *, tell: Callable[[str], None], verbose: bool) -> None:
    """Take a cluster down, and make sure that nothing of it goes on running.

    Raises:
        UnavailableError: Ray's launcher failed, or a machine can't be reached.
    """
    tell(f"Taking down {file.name} …")
    config = mended(file, token=ensure_token())
    failed: UnavailableError | None = None
    with _written(config) as path:
        try:
            _ray(file, ["down", "--yes", str(path)], verbose=verbose)
        except UnavailableError as err:
            # A head that is dead keeps Ray's launcher from the others; they are looked after below.
            if not file.own_machines:
                raise
            failed = err
    if file.own_machines:
        _end_left(file, tell, failed)
    if standing := Standing.find(file.path):
        standing.forget()


def _end_left(
    file: ClusterFile, tell: Callable[[str], None], failed: UnavailableError | None
) -> None:
    assert file.head is not None
    login = Login.of(file.head, file.config.get("auth", {}))
    silent: list[str] = []
    # The head last: the others may be reached through it.
    for host in (*file.workers, file.head):
        left = end_ray(login, host)
        if left is None:
            silent.append(host)
        elif left:
            tell(f"{host}: Ray's launcher had left {left} processes; they are gone.")
    if silent:
        raise UnavailableError(
            f"Whether Ray has ended on {', '.join(silent)} is not known: no answer over ssh.",
            hint="Once they can be reached, `launch-job cluster down` again.",
        ) from failed


def _check_closed(file: ClusterFile) -> None:
    """Refuse a dashboard that the whole network would reach: the head's loopback is enough."""
    commands = " ".join(map(str, file.config.get("head_start_ray_commands") or ()))
    found = re.search(r"--dashboard-host[= ](\S+)", commands)
    if found and found[1] not in ("127.0.0.1", "localhost", "::1"):
        raise UsageError(
            f"{file.path}: head_start_ray_commands opens the dashboard to others ({found[0]}).",
            hint="Write --dashboard-host=127.0.0.1; `launch-job dashboard` reaches it over ssh.",
        )


def _certificates(file: ClusterFile) -> Certificates:
    if not file.own_machines:
        raise UsageError(
            "--tls needs to know the addresses of all machines; rented ones have none yet.",
            hint="docs/clusters.md says how to have each of them make its own certificate.",
        )
    assert file.head is not None
    found = Certificates.of(file.name)
    found.check((file.head, *file.workers), now=datetime.now(UTC))
    return found


@contextmanager
def _written(config: dict[str, object]) -> Iterator[Path]:
    import yaml

    with tempfile.TemporaryDirectory(prefix="launch-job-") as folder:
        path = Path(folder) / "cluster.yaml"
        path.write_text(yaml.safe_dump(config, sort_keys=False))
        yield path


def _ray(file: ClusterFile, arguments: list[str], *, verbose: bool) -> str:
    """Run Ray's launcher in the file's folder, which its relative paths are relative to.

    Raises:
        UnavailableError: It failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "ray.scripts.scripts", *arguments],
        cwd=file.path.parent,
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
        stdin=subprocess.DEVNULL,
        stdout=None if verbose else subprocess.PIPE,
        stderr=None if verbose else subprocess.STDOUT,
        text=True,
        check=False,
    )
    said = done.stdout or ""
    if done.returncode != 0:
        lines = [line.rstrip() for line in said.splitlines() if line.strip()]
        raise UnavailableError(
            f"`ray {arguments[0]}` failed on {file.path} (exit code {done.returncode}).",
            hint="-v shows all that it says.",
            details=tuple(lines[-_LAST_LINES:]),
        )
    return said


def _head_of(file: ClusterFile, path: Path) -> str:
    """Ask Ray's launcher for the address of a head that was rented."""
    said = _ray(file, ["get-head-ip", str(path)], verbose=False)
    return said.split()[-1]


def _await_nodes(
    file: ClusterFile, standing: Standing, tell: Callable[[str], None]
) -> list[NodeSummary]:
    """Wait until as many nodes are there as the file asks for.

    Raises:
        UnavailableError: They are not, in time.
    """
    until = time.monotonic() + _JOIN_S
    told = 0
    while True:
        nodes = list_nodes(standing.dashboard())
        if len(nodes) >= file.nodes:
            return nodes
        if len(nodes) != told:
            told = len(nodes)
            tell(f"{told} of {file.nodes} machines are up …")
        if time.monotonic() > until:
            missing = {*file.workers} - {node.address for node in nodes}
            named = f": {', '.join(sorted(missing))}" if missing else ""
            raise UnavailableError(
                f"{file.nodes - len(nodes)} of {file.nodes} machines have not joined{named}.",
                hint="`launch-job cluster up -v` shows what Ray's launcher says of them.",
            )
        time.sleep(_LOOK_S)
