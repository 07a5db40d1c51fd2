"""The condition of one machine: what is installed, free and reachable there.

`measure` runs on each node. Its module imports nothing slow, and nothing that a node may lack.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

#: Packages that a run can't do without.
PACKAGES = ("ray", "tensorflow", "keras", "numpy", "launch-job")


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A machine at one moment."""

    #: Name of the host.
    host: str
    #: Version of Python.
    python: str
    #: Version of each package; None where it isn't installed.
    versions: dict[str, str | None]
    #: Its clock, in seconds since 1970.
    time_s: float
    #: Why the storage can't be used; None if it can.
    storage_error: str | None
    #: Whether it sees what the machine that asks has left in the storage; None if not asked.
    shares_storage: bool | None
    #: Free bytes where Ray keeps its files.
    disk_free_bytes: int
    #: Memory that is available, in bytes; None where the kernel doesn't say.
    memory_free_bytes: int | None
    #: Names of its GPUs.
    gpus: tuple[str, ...]
    #: Version of NCCL; None where it isn't installed.
    nccl: str | None


def measure(storage: str, mark: str | None) -> Condition:
    """Measure the machine that this is called on.

    Args:
        storage: Folder of runs.
        mark: A file in it that the machine that asks has left; None: it has left none.
    """
    return Condition(
        host=socket.gethostname(),
        python=platform.python_version(),
        versions={package: _version(package) for package in PACKAGES},
        time_s=time.time(),
        storage_error=_try_storage(Path(storage)),
        shares_storage=None if mark is None else Path(mark).is_file(),
        disk_free_bytes=shutil.disk_usage("/tmp").free,
        memory_free_bytes=_free_memory(),
        gpus=_gpus(),
        nccl=_nccl(),
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _try_storage(folder: Path) -> str | None:
    """Write a file, rename it, and take it away; return why that can't be done."""
    name = f".doctor.{socket.gethostname()}.{os.getpid()}"
    first, second = folder / name, folder / f"{name}.renamed"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with first.open("wb") as file:
            file.write(b"whole")
            os.fsync(file.fileno())
        os.replace(first, second)
        whole = second.read_bytes() == b"whole"
        second.unlink()
    except OSError as err:
        return os.strerror(err.errno) if err.errno else str(err)
    return None if whole else "a renamed file is not whole"


def _free_memory() -> int | None:
    with contextlib.suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _gpus() -> tuple[str, ...]:
    """Return the names of NVIDIA's GPUs; TensorFlow would take seconds to say."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    done = subprocess.run(
        [program, "--query-gpu=name", "--format=csv,noheader"],
        capture_output=True,
        text=True,
        check=False,
    )
    return tuple(done.stdout.split("\n")[:-1]) if done.returncode == 0 else ()


def _nccl() -> str | None:
    """Return the version of NCCL's package, or else of the library that the linker finds."""
    for found in distributions():
        if (found.metadata["Name"] or "").startswith("nvidia-nccl"):
            return found.version
    with contextlib.suppress(OSError, AttributeError):
        number = ctypes.c_int()
        if ctypes.CDLL("libnccl.so.2").ncclGetVersion(ctypes.byref(number)) == 0:
            return f"{number.value // 10000}.{number.value // 100 % 100}.{number.value % 100}"
    return None
