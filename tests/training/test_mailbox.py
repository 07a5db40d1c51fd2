"""The mailbox of a run's news."""

from __future__ import annotations

import threading

import pytest

from orchestrator.training.mailbox import Mailbox, Update

#: Longer than any test may take.
LONG_S = 60.0


@pytest.fixture
def mailbox():
    return Mailbox()


def news(step):
    return Update(kind="step", time_s=0.0, step=step)


def drained_aside(mailbox):
    """Begin to wait for news; return what ends with it, and where it is put."""
    found = []
    thread = threading.Thread(target=lambda: found.append(mailbox.drain(LONG_S)), daemon=True)
    thread.start()
    return thread, found


def test_news_is_taken_once_and_in_order(mailbox):
    for step in (1, 2):
        mailbox.publish(news(step))
    assert [update.step for update in mailbox.drain(LONG_S)] == [1, 2]
    assert mailbox.drain(0.0) == []


def test_who_waits_gets_what_comes(mailbox):
    thread, found = drained_aside(mailbox)
    mailbox.publish(news(7))
    thread.join(LONG_S / 2)
    assert [[update.step for update in updates] for updates in found] == [[7]]


def test_who_has_waited_long_enough_gets_nothing(mailbox):
    assert mailbox.drain(0.01) == []
    mailbox.publish(news(9))
    assert [update.step for update in mailbox.drain(LONG_S)] == [9]
