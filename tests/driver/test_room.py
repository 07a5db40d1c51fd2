"""Waiting for room: how long, for how much, and what is said meanwhile."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.driver.place import LOOK_EVERY_S, Room, await_room
from orchestrator.errors import StoppedError, UnavailableError

OTHERS = "job 20261123-lstm-mnist: 2 CPUs on 10.77.0.12"


class Cluster:
    """A place whose room changes as time goes by, and its clock."""

    def __init__(self, *free, total=4, holders=(OTHERS,)):
        self.free, self.total, self.holders = list(free), total, holders
        self.now = 100.0
        self.asked = []
        self.said = []

    def room(self, device):
        self.asked.append(device)
        free = self.free.pop(0) if len(self.free) > 1 else self.free[0]
        return Room(free=free, total=self.total, holders=self.holders)

    def pause(self, seconds):
        assert seconds > 0
        self.now += seconds

    def wait(self, least, most=None, *, device="cpu", wait_s=None, stop=lambda: False):
        def tell(text):
            self.said.append((self.now - 100, text))

        return await_room(
            self,
            least=least,
            most=most or least,
            device=device,
            wait_s=wait_s,
            tell=tell,
            stop=stop,
            clock=lambda: self.now,
            pause=self.pause,
        )


@given(
    free=st.lists(st.integers(0, 8), min_size=1, max_size=30),
    least=st.integers(1, 8),
    extra=st.integers(0, 4),
)
def test_takes_the_first_room_that_is_enough_and_no_more_than_it_wants(free, least, extra):
    cluster = Cluster(*free, 8)
    taken = cluster.wait(least, least + extra)
    first = next(f for f in [*free, 8] if f >= least)
    assert taken == min(least + extra, first)
    assert bool(cluster.said) == (free[0] < least)


def test_says_at_once_and_every_10_s_what_it_waits_for():
    waits = int(25 / LOOK_EVERY_S)
    cluster = Cluster(*[1] * waits, 3)
    assert cluster.wait(3) == 3
    assert [at for at, _ in cluster.said] == [0, 10, 20]
    assert cluster.said[0][1] == (
        f"Waiting: 3 workers need 3 CPUs; 1 of 4 are free. Held by: {OTHERS}."
    )


def test_what_is_said_follows_what_is_there():
    cluster = Cluster(*[0] * int(5 / LOOK_EVERY_S), *[1] * int(10 / LOOK_EVERY_S), 2)
    cluster.wait(2)
    assert ["0 of 4" in cluster.said[0][1], "1 of 4" in cluster.said[1][1]] == [True, True]


def test_end_of_patience_is_an_error_with_the_same_facts():
    cluster = Cluster(1, total=2)
    with pytest.raises(UnavailableError) as caught:
        cluster.wait(3, wait_s=30)
    assert cluster.now == 130
    assert caught.value.exit_code == 3
    assert caught.value.message == (
        "After 30 s: 3 workers need 3 CPUs; 1 of 2 are free. "
        f"Until nodes join, this cluster is too small. Held by: {OTHERS}."
    )
    assert "--wait" in caught.value.hint


def test_no_patience_takes_what_is_free_now():
    assert Cluster(2).wait(1, 4, wait_s=0) == 2
    with pytest.raises(UnavailableError):
        Cluster(0).wait(1, wait_s=0)


def test_stop_ends_the_wait():
    cluster = Cluster(0)
    with pytest.raises(StoppedError):
        cluster.wait(1, stop=lambda: cluster.now >= 103)
    assert cluster.now == 103


def test_gpus_are_asked_for_and_named():
    cluster = Cluster(0, 1, total=1, holders=())
    cluster.wait(1, device="gpu")
    assert set(cluster.asked) == {"gpu"}
    assert cluster.said[0][1] == "Waiting: 1 worker needs 1 GPU; 0 of 1 are free."
