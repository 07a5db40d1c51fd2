"""Waiting for the worker that the others connect to."""

from __future__ import annotations

import json
import socket
import threading

import pytest

from orchestrator.training.leader import await_leader


@pytest.fixture
def leader():
    """A socket that has an address, but doesn't listen yet."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound


def tell(monkeypatch, leader: socket.socket, *, rank: int) -> None:
    host, port = leader.getsockname()
    cluster = {"worker": [f"{host}:{port}", "127.0.0.1:1"]}
    task = {"type": "worker", "index": rank}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))


def test_others_wait_until_the_leader_listens(monkeypatch, leader):
    tell(monkeypatch, leader, rank=1)
    waiting = threading.Thread(target=await_leader, daemon=True)
    waiting.start()
    assert waiting.is_alive()
    leader.listen()
    leader.accept()[0].close()
    waiting.join(30)
    assert not waiting.is_alive()


def test_the_leader_does_not_wait(monkeypatch, leader):
    tell(monkeypatch, leader, rank=0)
    await_leader()


def test_one_process_alone_does_not_wait(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    await_leader()


def test_a_leader_that_does_not_come_is_for_tensorflow_to_tell(monkeypatch, leader):
    tell(monkeypatch, leader, rank=1)
    await_leader(patience_s=0.05)
