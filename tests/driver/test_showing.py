"""When a run's dashboard is started, and what is told of it."""

from __future__ import annotations

import pytest

from orchestrator.data.plan import TrainingPlan
from orchestrator.driver.showing import Showing
from orchestrator.observer import Observer
from orchestrator.training.mailbox import Update

#: A thousand steps: ten epochs of a hundred.
PLAN = TrainingPlan(rows=6400, streams=4, workers=2, batch_size=64, epochs=10)


class Place:
    """Counts how often it is asked for the dashboard."""

    def __init__(self) -> None:
        self.asked = 0
        self.dashboard: str | None = None

    def show(self) -> None:
        self.asked += 1


class Told(Observer):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)

    def dashboard(self, address: str) -> None:
        self.lines.append(address)


@pytest.fixture
def place():
    return Place()


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def showing(place, told):
    return Showing(place, told, PLAN)


def news(kind, time_s, done):
    epoch, step = divmod(done, PLAN.steps_per_epoch)
    return Update(kind=kind, time_s=1e9 + time_s, epoch=epoch, step=step)


def trains(showing, *, pace, seconds, first=1, started_s=0.0):
    """Take steps at a pace, with news twice a second, from the first one on."""
    showing.hear(news("first_step", started_s, first))
    for half in range(1, 2 * seconds + 1):
        done = min(first + int(pace * half / 2), PLAN.total_steps)
        showing.hear(news("step", started_s + half / 2, done))


def test_a_run_that_is_soon_over_starts_none(showing, place, told):
    trains(showing, pace=31, seconds=32)  # 27 s are left after five
    showing.hear(news("evaluating", 33, PLAN.total_steps))
    showing.conclude()
    assert (place.asked, told.lines) == (0, [])


def test_a_run_that_goes_on_starts_one_as_soon_as_its_pace_is_known(showing, place):
    trains(showing, pace=20, seconds=4)
    assert place.asked == 0
    trains(showing, pace=20, seconds=30)
    assert place.asked == 1


def test_a_run_that_takes_no_further_step_starts_one(showing, place):
    trains(showing, pace=0, seconds=6)
    assert place.asked == 1


def test_the_pace_is_that_since_the_last_start(showing, place):
    trains(showing, pace=45, seconds=4)
    # The workers start anew from a checkpoint; of the time between, no step took any.
    trains(showing, pace=45, seconds=10, first=400, started_s=60)
    assert place.asked == 0


def test_the_address_is_told_once(showing, place, told):
    trains(showing, pace=20, seconds=10)
    place.dashboard = "127.0.0.1:8265"
    showing.hear(news("step", 11, 220))
    showing.hear(news("step", 12, 240))
    showing.conclude()
    assert told.lines == ["127.0.0.1:8265"]


def test_one_that_was_there_before_is_told_of_before_any_step(showing, place, told):
    place.dashboard = "127.0.0.1:8265"
    showing.tell()
    assert (place.asked, told.lines) == (0, ["127.0.0.1:8265"])


def test_one_that_should_have_come_is_noted(showing, told):
    trains(showing, pace=20, seconds=45)
    showing.conclude()
    assert told.lines == ["The Ray dashboard did not answer during this run."]


def test_one_that_had_no_time_to_come_is_not(showing, told):
    trains(showing, pace=20, seconds=20)
    showing.conclude()
    assert told.lines == []
