"""Of the workers of a machine, one compiles a program."""

from __future__ import annotations

import pytest

from orchestrator.training import single_flight
from orchestrator.training.single_flight import SingleFlight


@pytest.fixture
def workers(tmp_path):
    return [SingleFlight(tmp_path / "attempt") for _ in range(3)]


def told(flight, rows, *, leads):
    import tensorflow as tf

    @tf.function(autograph=False)
    def step(rows, leads):
        flight.tell(rows, leads, tf.constant(0.0))

    step(tf.constant(rows), tf.constant(leads))


def test_the_others_wait_until_the_first_has_told(workers, monkeypatch):
    first, *others = workers
    assert first.leads(32)
    waits = []

    def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 2:
            told(first, 32, leads=True)

    monkeypatch.setattr(single_flight.time, "sleep", sleep)
    assert not others[0].leads(32)
    assert len(waits) == 2
    assert not others[1].leads(32)
    assert len(waits) == 2


def test_a_program_of_other_rows_has_a_first_of_its_own(workers):
    assert workers[0].leads(32)
    told(workers[0], 32, leads=True)
    assert workers[1].leads(24)
    assert not workers[1].leads(32)


def test_who_has_a_program_does_not_wait_for_it_again(workers):
    assert workers[0].leads(32)
    assert not workers[0].leads(32)


def test_only_who_leads_tells(workers, tmp_path):
    assert workers[0].leads(32)
    told(workers[1], 32, leads=False)
    assert {path.name for path in (tmp_path / "attempt").iterdir()} == {"32.begun"}


def test_nobody_waits_for_ever(workers, monkeypatch):
    assert workers[0].leads(32)
    times = iter(range(0, 1000, 25))
    monkeypatch.setattr(single_flight.time, "monotonic", lambda: next(times))
    monkeypatch.setattr(single_flight.time, "sleep", lambda _: None)
    assert not workers[1].leads(32)
    assert next(times) <= 125
