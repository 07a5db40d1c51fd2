"""How the workers of one machine find each other."""

from __future__ import annotations

import contextlib
import mmap
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.errors import UnavailableError
from orchestrator.training.rendezvous import meet

SIZE = 4096


def met(folder, count, *, order=None):
    """Have so many meet, the first ones of `order` first; return what each holds."""
    with ThreadPoolExecutor(count) as pool:
        found = {
            who: pool.submit(meet, folder, "here", who=who, count=count, size=SIZE)
            for who in order or range(count)
        }
        return [found[who].result() for who in range(count)]


def come_and_go(door):
    """Connect to the first one as soon as it is there, and end."""
    deadline = time.monotonic() + 30
    with contextlib.chdir(door.parent):
        while True:
            with socket.socket(socket.AF_UNIX) as ending:
                try:
                    return ending.connect(door.name)
                except (FileNotFoundError, ConnectionRefusedError):
                    assert time.monotonic() < deadline


def closed(meetings):
    for meeting in meetings:
        os.close(meeting.memory)
        for peer in meeting.peers.values():
            peer.close()


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_each_has_a_connection_to_each_other_one(tmp_path, order):
    meetings = met(tmp_path, 3, order=order)
    for who, meeting in enumerate(meetings):
        for peer, connection in meeting.peers.items():
            connection.send(f"{who}{peer}".encode())
    for who, meeting in enumerate(meetings):
        told = {peer: connection.recv(2).decode() for peer, connection in meeting.peers.items()}
        assert told == {peer: f"{peer}{who}" for peer in range(3) if peer != who}
    closed(meetings)


def test_all_share_one_memory(tmp_path):
    meetings = met(tmp_path, 3)
    memories = [mmap.mmap(meeting.memory, 0) for meeting in meetings]
    assert bytes(memories[1]) == bytes(SIZE)
    memories[2][17] = 5
    assert [memory[17] for memory in memories] == [5, 5, 5]
    closed(meetings)


def test_a_connection_ends_with_the_one_that_holds_it(tmp_path):
    first, second, third = met(tmp_path, 3)
    closed([second])
    assert first.peers[1].recv(1) == third.peers[1].recv(1) == b""
    closed([first, third])


def test_nothing_is_left_where_they_met(tmp_path):
    closed(met(tmp_path / "new", 2))
    assert list((tmp_path / "new").iterdir()) == []


def test_a_path_that_is_too_long_for_a_socket_will_do(tmp_path):
    closed(met(tmp_path / ("long" * 40), 2))


@pytest.mark.parametrize("who", [0, 1])
def test_who_comes_alone_says_so(tmp_path, who):
    with pytest.raises(UnavailableError, match="The 2 workers of this machine have not met within"):
        meet(tmp_path, "here", who=who, count=2, size=SIZE, patience_s=0.05)


def test_who_meets_one_that_ends_says_so(tmp_path):
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(meet, tmp_path, "here", who=0, count=2, size=SIZE)
        come_and_go(tmp_path / "here")
        with pytest.raises(ConnectionError, match="a worker of this machine has ended"):
            first.result()
    assert list(tmp_path.iterdir()) == []


def test_who_joins_a_first_one_that_ends_says_so(tmp_path):
    with socket.socket(socket.AF_UNIX) as door, ThreadPoolExecutor(1) as pool:
        with contextlib.chdir(tmp_path):
            door.bind("here")
        door.listen()
        second = pool.submit(meet, tmp_path, "here", who=1, count=2, size=SIZE)
        ending, _ = door.accept()
        ending.close()
        with pytest.raises(ConnectionError):
            second.result()
