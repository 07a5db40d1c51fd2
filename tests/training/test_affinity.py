"""Which CPUs a worker takes its steps on."""

from __future__ import annotations

import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.training.affinity import CpuShare, equal_cores, share_of

#: Cores of one to three CPUs, all of different numbers.
CORES = st.integers(min_value=1, max_value=3).flatmap(
    lambda cpus: st.integers(min_value=0, max_value=40).map(
        lambda cores: [frozenset(range(core * cpus, (core + 1) * cpus)) for core in range(cores)]
    )
)


@given(cores=CORES, workers=st.integers(min_value=1, max_value=100))
def test_all_workers_have_as_much_or_none_has_a_share(cores, workers):
    shares = [share_of(cores, worker=worker, workers=workers) for worker in range(workers)]
    if None in shares:
        assert set(shares) == {None}
        assert workers > len(cores)
        return
    assert len({len(share) for share in shares}) == 1
    users = [sum(cpu in share for share in shares) for cpu in frozenset().union(*shares)]
    assert len(set(users)) == 1
    # No CPU is shared as long as there are as many cores as workers.
    assert users[0] == 1 or workers > len(cores)


@pytest.mark.parametrize(
    ("workers", "shares"),
    [
        (2, [{0, 1}, {2, 3}]),
        (3, [{0}, {1}, {2}]),
        (8, [{0}, {1}, {2}, {3}] * 2),
        (6, [None] * 6),
    ],
)
def test_shares_of_four_cores(workers, shares):
    cores = [frozenset({cpu}) for cpu in range(4)]
    assert [share_of(cores, worker=n, workers=workers) for n in range(workers)] == shares


@pytest.fixture
def described(tmp_path):
    """Returns a function that describes CPUs as Linux does: (package, CPUs of the core) of each."""

    def describe(cpus, **more):
        for cpu, (package, siblings) in cpus.items():
            topology = tmp_path / f"cpu{cpu}" / "topology"
            topology.mkdir(parents=True)
            (topology / "physical_package_id").write_text(f"{package}\n")
            (topology / "thread_siblings_list").write_text(f"{siblings}\n")
        for name, values in more.items():
            for cpu, value in values.items():
                (tmp_path / f"cpu{cpu}" / name).write_text(f"{value}\n")
        return tmp_path

    return describe


def test_cpus_of_a_core_stay_together_and_cores_of_a_package_are_neighbours(described):
    # Two packages, whose cores have odd and even numbers, with two CPUs each.
    cpus = {n: (n % 2, f"{n % 4},{n % 4 + 4}") for n in range(8)}
    folder = described(cpus)
    assert equal_cores(cpus, folder) == [{0, 4}, {2, 6}, {1, 5}, {3, 7}]


def test_ranges_of_cpus_are_read(described):
    folder = described({0: (0, "0-1"), 1: (0, "0-1"), 2: (0, "2-3"), 3: (0, "2-3")})
    assert equal_cores(range(4), folder) == [{0, 1}, {2, 3}]


def test_cpus_that_may_not_be_used_are_nobodys(described):
    folder = described({0: (0, "0,2"), 1: (0, "1,3"), 2: (0, "0,2"), 3: (0, "1,3")})
    assert equal_cores({0, 1}, folder) == [{0}, {1}]
    assert equal_cores({0, 1, 2}, folder) == []


def test_cores_that_are_slower_by_design_are_not_shared_out(described):
    # As on hybrid processors: a core with two CPUs, and two cores with one.
    folder = described({0: (0, "0-1"), 1: (0, "0-1"), 2: (0, "2"), 3: (0, "3")})
    assert equal_cores(range(4), folder) == []


def test_nor_are_those_of_which_linux_says_that_they_can_less(described):
    cpus = {n: (0, str(n)) for n in range(4)}
    folder = described(cpus, cpu_capacity={0: 1024, 1: 1024, 2: 446, 3: 446})
    assert equal_cores(cpus, folder) == []


def test_nothing_is_known_of_cpus_that_nobody_describes(tmp_path):
    assert equal_cores({0, 1}, tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system has no such setting")
def test_threads_are_kept_and_let_go():
    here = os.sched_getaffinity(0)
    before, done, found = threading.Event(), threading.Event(), {}
    share_only = {min(here)}

    def look(name, until):
        until.wait(10)
        found[name] = os.sched_getaffinity(0)

    def run(found):
        share = CpuShare(frozenset(share_only))
        share.keep(True)
        started = threading.Thread(target=look, args=("started", before))
        later = threading.Thread(target=look, args=("let go too", done))
        started.start()
        later.start()
        found["kept"] = os.sched_getaffinity(0)
        before.set()
        started.join()
        share.keep(False)
        found["let go"] = os.sched_getaffinity(0)
        done.set()
        later.join()

    other = threading.Thread(target=look, args=("other", before))
    other.start()
    mine = threading.Thread(target=run, args=(found,))
    mine.start()
    mine.join()
    other.join()
    kept = {"kept": share_only, "started": share_only}
    assert found == {**kept, "other": here, "let go": here, "let go too": here}


def test_a_worker_by_itself_has_the_whole_machine():
    assert CpuShare.of_worker(0, 1).cpus is None
