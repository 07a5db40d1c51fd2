"""The mailbox of a run's news."""

from __future__ import annotations

import threading

import pytest

from orchestrator.training.monitor import Monitor, Update

#: Longer than any test may take.
LONG_S = 60.0


@pytest.fixture
def monitor():
    return Monitor()


def news(step):
    return Update(kind="step", time_s=0.0, step=step)


def drained_aside(monitor):
    """Begin to wait for news; return what ends with it, and where it is put."""
    found = []
    thread = threading.Thread(target=lambda: found.append(monitor.drain(LONG_S)), daemon=True)
    thread.start()
    return thread, found


def test_news_is_taken_once_and_in_order(monitor):
    for step in (1, 2):
        monitor.publish(news(step))
    assert [update.step for update in monitor.drain(LONG_S)] == [1, 2]
    assert monitor.drain(0.0) == []


def test_who_waits_gets_what_comes(monitor):
    thread, found = drained_aside(monitor)
    monitor.publish(news(7))
    thread.join(LONG_S / 2)
    assert [[update.step for update in updates] for updates in found] == [[7]]


def test_who_has_waited_long_enough_gets_nothing(monitor):
    assert monitor.drain(0.01) == []
    monitor.publish(news(9))
    assert [update.step for update in monitor.drain(LONG_S)] == [9]
