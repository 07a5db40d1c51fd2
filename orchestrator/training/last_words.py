"""What a worker's process leaves in its log, for the case that it dies without a word.

Each process introduces itself at the head of what it prints. So of a log that several attempts
have written to, the part of one process can be told from the others'; the kernel's count of
processes that it has killed for want of memory is there to be compared.
"""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

#: Of a log, no more than this is read.
_TAIL_BYTES = 256 * 1024

#: Processes that the kernel has killed for want of memory since it started (Linux).
_KERNEL = Path("/proc/vmstat")

_INTRODUCTION = re.compile(
    r"^launch-job: rank \d+ on (?P<host>\S+), process (?P<pid>\d+), \S+, "
    r"(?P<oom_kills>\d+) killed for memory$",
    re.MULTILINE,
)

#: The first line of what a crash prints.
_CRASH = re.compile(
    r"^(\*\*\* SIG\w+ received|Fatal Python error: |terminate called|F\d{4} .*Check failed).*",
    re.MULTILINE,
)


@dataclass(frozen=True, kw_only=True)
class LastWords:
    """The end of what a process has printed."""

    #: Host it ran on, and its process id there.
    host: str
    pid: int
    #: What it printed when it crashed; empty if it did not.
    crash: str
    #: Whether the kernel has killed a process on this host, for want of memory, since it began.
    out_of_memory: bool

    @property
    def crash_name(self) -> str:
        """The first line of the crash, without what differs from one to the next."""
        return re.sub(r"^\W*|\W*(received.*)?$", "", self.crash.partition("\n")[0])

    @classmethod
    def read(cls, log: Path, *, pid: int | None = None) -> LastWords | None:
        """Read what the last process, or the one of that id, has left in a rank's log.

        Returns:
            None if it has left nothing.
        """
        text = _tail(log)
        heads = list(_INTRODUCTION.finditer(text))
        if not heads or pid not in (None, int(heads[-1]["pid"])):
            return None
        head, said = heads[-1], text[heads[-1].end() :]
        crash = _CRASH.search(said)
        return cls(
            host=head["host"],
            pid=int(head["pid"]),
            crash=said[crash.start() :].strip() if crash else "",
            out_of_memory=_killed_since(head["host"], int(head["oom_kills"])),
        )


def introduction(rank: int) -> str:
    """Return the line with which this process introduces itself in its log."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return (
        f"launch-job: rank {rank} on {socket.gethostname()}, process {os.getpid()}, {now}, "
        f"{_oom_kills()} killed for memory"
    )


def _killed_since(host: str, before: int) -> bool:
    # The count of another host can't be read from here.
    return host == socket.gethostname() and _oom_kills() > before


def _oom_kills() -> int:
    try:
        found = re.search(r"^oom_kill (\d+)$", _KERNEL.read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0


def _tail(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
