"""What keeps this machine, or a cluster, from running a job, and how to mend it."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from orchestrator.cluster.address import DASHBOARD_PORT
from orchestrator.cluster.admission import DEFAULT_PORT
from orchestrator.cluster.condition import PACKAGES, Condition
from orchestrator.cluster.package import size_text
from orchestrator.cluster.token import token_path

#: Less free space or memory than this is worth a word, or too little.
_DISK_WARN, _DISK_FAIL = 5_000_000_000, 500_000_000
_MEMORY_WARN, _MEMORY_FAIL = 4_000_000_000, 1_000_000_000

#: Clocks that differ by more make the first of several failures hard to tell, and tokens fail.
_SKEW_WARN_S, _SKEW_FAIL_S = 0.5, 60.0

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of a doctor's."""

    #: What was looked at.
    name: str
    #: How it is.
    verdict: Verdict
    #: What was found.
    what: str
    #: What mends it; empty if nothing needs to be.
    mend: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def examine_here(condition: Condition, *, storage: str) -> list[Finding]:
    """Judge this machine.

    Args:
        condition: What was measured.
        storage: Folder of runs.
    """
    return [
        *_packages(condition),
        _gpu(condition),
        _ports(),
        _storage(condition, storage),
        _token(),
        _free("disk", condition.disk_free_bytes, _DISK_WARN, _DISK_FAIL, "Free some in /tmp."),
        _free(
            "memory",
            condition.memory_free_bytes,
            _MEMORY_WARN,
            _MEMORY_FAIL,
            "End other programs, or use fewer workers: each takes about 1 GB.",
        ),
    ]


def examine_nodes(
    here: Condition, nodes: Mapping[str, Condition | str], skews_s: Mapping[str, float]
) -> list[Finding]:
    """Judge the nodes of a cluster.

    Args:
        here: The machine that asks.
        nodes: What was measured on each node, by address; or why nothing could be.
        skews_s: How far each node's clock is ahead of the head's, by address.
    """
    found = [Finding(name="nodes", verdict="ok", what=f"{len(nodes)} are up")]
    for address, node in nodes.items():
        if isinstance(node, str):
            mend = "Install the same packages there as on the head."
            found.append(Finding(name=address, verdict="fail", what=node, mend=mend))
        else:
            found += _node(address, here, node, skews_s.get(address, 0.0))
    return found


def _node(address: str, here: Condition, node: Condition, skew_s: float) -> Iterator[Finding]:
    def finding(name: str, verdict: Verdict, what: str, mend: str = "") -> Finding:
        return Finding(name=f"{address} {name}", verdict=verdict, what=what, mend=mend)

    differing = [
        f"{name} {node.versions[name] or '(not installed)'}, here {wanted}"
        for name, wanted in here.versions.items()
        if node.versions[name] != wanted
    ]
    if node.python.split(".")[:2] != here.python.split(".")[:2]:
        differing.insert(0, f"Python {node.python}, here {here.python}")
    yield finding(
        "versions",
        "fail" if differing else "ok",
        "; ".join(differing) or f"the same as here ({node.host})",
        "Install the same there, or run with --install." if differing else "",
    )
    if node.storage_error is not None or node.shares_storage is False:
        what = node.storage_error or "another folder than here is at the storage's path"
        yield finding("storage", "fail", what, "Mount the same folder at the same path.")
    else:
        yield finding("storage", "ok", "shared, written and renamed")
    ahead = abs(skew_s)
    late: Verdict = "fail" if ahead > _SKEW_FAIL_S else "warn" if ahead > _SKEW_WARN_S else "ok"
    mend = "" if late == "ok" else "Keep its time by NTP (chrony, systemd-timesyncd)."
    yield finding("clock", late, f"{skew_s:+.2f} s from the head's", mend)
    free = _free("disk", node.disk_free_bytes, _DISK_WARN, _DISK_FAIL, "Free some in /tmp.")
    yield finding("disk", free.verdict, free.what, free.mend)
    memory = _free("memory", node.memory_free_bytes, _MEMORY_WARN, _MEMORY_FAIL, "Use another.")
    yield finding("memory", memory.verdict, memory.what, memory.mend)
    gpu = _gpu(node)
    yield finding("gpu", gpu.verdict, gpu.what, gpu.mend)


def _packages(condition: Condition) -> Iterator[Finding]:
    yield Finding(name="python", verdict="ok", what=condition.python)
    for package in PACKAGES:
        found = condition.versions[package]
        needed = package != "launch-job"
        verdict: Verdict = "ok" if found else "fail" if needed else "warn"
        what = found or "not installed"
        mend = "" if found else "`make setup`, or install requirements.lock."
        yield Finding(name=package, verdict=verdict, what=what, mend=mend)


def _gpu(condition: Condition) -> Finding:
    if not condition.gpus:
        return Finding(name="gpu", verdict="ok", what="none: workers compute on CPUs")
    what = f"{len(condition.gpus)} × {condition.gpus[0]}, NCCL {condition.nccl or 'missing'}"
    if condition.nccl:
        return Finding(name="gpu", verdict="ok", what=what)
    mend = "Install launch-job[gpu], which brings NVIDIA's libraries."
    return Finding(name="gpu", verdict="fail", what=what, mend=mend)


def _ports() -> Finding:
    """Say which of Ray's ports are taken: a head could not be started here with them."""
    taken = [str(port) for port in (DEFAULT_PORT, DASHBOARD_PORT) if _listens(port)]
    if not taken:
        return Finding(name="ports", verdict="ok", what=f"{DEFAULT_PORT}, {DASHBOARD_PORT} free")
    what = f"{' and '.join(taken)} taken"
    mend = "If that is no Ray of yours, `ray start --head` needs --port and --dashboard-port."
    return Finding(name="ports", verdict="warn", what=what, mend=mend)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _storage(condition: Condition, storage: str) -> Finding:
    if condition.storage_error is None:
        return Finding(name="storage", verdict="ok", what=f"{storage}: written and renamed")
    what = f"{storage}: {condition.storage_error}"
    mend = "Name another folder (--storage, LAUNCH_JOB_STORAGE)."
    return Finding(name="storage", verdict="fail", what=what, mend=mend)


def _token() -> Finding:
    if os.environ.get("RAY_AUTH_TOKEN"):
        return Finding(name="token", verdict="ok", what="in RAY_AUTH_TOKEN")
    path = token_path()
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        empty = not path.read_text().strip()
    except OSError:
        mend = "A run with a Ray of its own makes one; for a cluster, copy the head's."
        return Finding(name="token", verdict="warn", what=f"no {path}", mend=mend)
    if empty:
        return Finding(name="token", verdict="fail", what=f"{path} is empty", mend=f"rm {path}")
    if mode & 0o077:
        what = f"{path} can be read by others (mode {mode:04o})"
        return Finding(name="token", verdict="fail", what=what, mend=f"chmod 600 {path}")
    return Finding(name="token", verdict="ok", what=f"{path} (mode {mode:04o})")


def _free(name: str, free: int | None, warn: int, fail: int, mend: str) -> Finding:
    if free is None:
        return Finding(name=name, verdict="ok", what="not known here")
    verdict: Verdict = "fail" if free < fail else "warn" if free < warn else "ok"
    return Finding(
        name=name,
        verdict=verdict,
        what=f"{size_text(free)} free",
        mend="" if verdict == "ok" else mend,
    )


def worst(findings: Iterable[Finding]) -> Verdict:
    """Return the worst verdict."""
    order: tuple[Verdict, ...] = ("ok", "warn", "fail")
    return max((found.verdict for found in findings), key=order.index)
