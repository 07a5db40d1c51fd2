"""Which CPUs a worker computes on: an equal share of its machine's.

The threads of a worker hand work to each other all the time, and the kernel starts whoever is woken
on any CPU that looks free, so that they get in the way of the other workers' threads; whoever is
held up holds up all workers, since each step ends with the sum of their gradients. Measured on two
cores, without Ray: a step of `lstm-mnist` took 3.0 to 3.4 ms instead of 4.5 to 4.9 with two
workers, 8.1 to 8.6 instead of 11.5 with four, and 21 instead of 25 with eight. Shares that aren't
equal cost more than they bring: three workers, two of them on the same core, took 8.9 ms instead of
7.7. So they are equal, or there are none.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Sequence
from pathlib import Path

#: Where Linux describes its CPUs (Documentation/admin-guide/cputopology.rst).
_CPUS = Path("/sys/devices/system/cpu")

#: What CPUs have to have in common, relative to a CPU's folder; files that all of them lack too.
_ALIKE = ("cpu_capacity", "cpufreq/cpuinfo_max_freq")


def share_of(
    cores: Sequence[frozenset[int]], *, worker: int, workers: int
) -> frozenset[int] | None:
    """Return the CPUs of one worker; None if the cores can't be shared equally.

    Args:
        cores: The CPUs of each core.
        worker: Number of the worker among those of its machine, from 0.
        workers: How many workers the machine has.
    """
    each = len(cores) // workers
    if each:
        return frozenset().union(*cores[worker * each : (worker + 1) * each])
    if not cores or workers % len(cores):
        return None
    return cores[worker % len(cores)]


def equal_cores(cpus: Collection[int], folder: Path = _CPUS) -> list[frozenset[int]]:
    """Return the CPUs of each core; none if cores aren't equal, or nobody says what they are.

    Neighbours are in the same package. Cores are unequal where some are slower by design, and where
    only a part of a core may be used.

    Args:
        cpus: Those that may be used.
        folder: Where they are described.
    """
    try:
        found = {cpu: _core_of(folder / f"cpu{cpu}") for cpu in cpus}
    except (OSError, ValueError):
        return []
    kinds = {
        (len(core & set(cpus)), *(_told(folder / f"cpu{cpu}" / name) for name in _ALIKE))
        for cpu, (_, core) in found.items()
    }
    if len(kinds) != 1:
        return []
    places = {(package, min(core), core & set(cpus)) for package, core in found.values()}
    return [core for _, _, core in sorted(places, key=lambda place: place[:2])]


class CpuShare:
    """The CPUs that a thread and those that it starts are kept to, while steps are taken.

    Make it in that thread, before it starts any: threads that there are already, as Ray's, may run
    anywhere.

    Args:
        cpus: Those of the share; None leaves all CPUs to it.
    """

    def __init__(self, cpus: frozenset[int] | None = None) -> None:
        #: Those of its share, if it has one.
        self.cpus = cpus
        self._kept = False
        if cpus is not None:
            self._all = os.sched_getaffinity(0)
            self._free = _threads() - {threading.get_native_id()}

    @classmethod
    def of_worker(cls, worker: int, workers: int) -> CpuShare:
        """Return the share of one worker.

        Args:
            worker: Number of the worker among those of its machine, from 0.
            workers: How many workers the machine has.
        """
        # One worker has the whole machine; macOS has no such setting.
        if workers == 1 or not hasattr(os, "sched_getaffinity"):
            return cls()
        return cls(share_of(equal_cores(os.sched_getaffinity(0)), worker=worker, workers=workers))

    def keep(self, kept: bool) -> None:
        """Keep the threads to the share, or let them run anywhere; if that can't be, say so."""
        if self.cpus is None or kept == self._kept:
            return
        self._kept = kept
        for thread in _threads() - self._free:
            try:
                os.sched_setaffinity(thread, self.cpus if kept else self._all)
            except ProcessLookupError:
                pass  # It has ended meanwhile.
            except OSError as err:
                print(f"launch-job: CPUs are not shared out: {err}", flush=True)
                return


def _threads() -> set[int]:
    return {int(thread.name) for thread in Path("/proc/self/task").iterdir()}


def _core_of(folder: Path) -> tuple[int, frozenset[int]]:
    """Return the package of a CPU, and all CPUs of its core."""
    topology = folder / "topology"
    package = int((topology / "physical_package_id").read_text())
    return package, _cpu_list((topology / "thread_siblings_list").read_text())


def _cpu_list(text: str) -> frozenset[int]:
    """Read a list of CPUs as Linux writes them: 0-3,8."""
    cpus: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        cpus.update(range(int(first), int(last or first) + 1))
    return frozenset(cpus)


def _told(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
