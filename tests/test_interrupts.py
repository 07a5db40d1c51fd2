"""Signals stop a run at once, or are noted where it has to be brought to an end first."""

import os
import signal

import pytest

from orchestrator.interrupts import Interrupts

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", NUMBERS)
def test_signal_interrupts_at_once(number):
    with Interrupts(), pytest.raises(KeyboardInterrupt):
        send(number)


@pytest.mark.parametrize("number", NUMBERS)
def test_first_one_is_noted_and_the_second_interrupts(number):
    with Interrupts() as interrupts, interrupts.deferred():
        send(number)
        assert interrupts.noted == number.name
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


def test_handlers_are_put_back():
    before = [signal.getsignal(number) for number in NUMBERS]
    with Interrupts() as interrupts, interrupts.deferred():
        assert [signal.getsignal(number) for number in NUMBERS] != before
    assert [signal.getsignal(number) for number in NUMBERS] == before


def test_what_others_install_meanwhile_is_overridden():
    with Interrupts() as interrupts:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # As Ray takes it when it starts.
        with interrupts.deferred():
            send(signal.SIGTERM)
            assert interrupts.noted == "SIGTERM"
