import dataclasses
from datetime import timedelta

import pytest
from sample_schedules import FIRST, make_schedule

from orchestrator.errors import UnavailableError
from orchestrator.schedule import log as log_module
from orchestrator.schedule.ending import Ending
from orchestrator.schedule.folder import SchedulesFolder
from orchestrator.schedule.log import Log
from orchestrator.schedule.loop import Loop
from orchestrator.schedule.shelf import Shelf
from orchestrator.schedule.timeline import fire_now, settle
from orchestrator.states import RunState
from orchestrator.storage.storage import Storage

HOUR = timedelta(hours=1)


class Keepers:
    """Notes what is started; a run goes on until a test ends it."""

    def __init__(self):
        self.started, self.working = [], set()

    def start(self, schedule, outcome):
        self.started.append(outcome.run_id)
        self.working.add(outcome.run_id)

    def is_at_work(self, schedule, outcome):
        return outcome.run_id in self.working


@pytest.fixture
def shelf(tmp_path):
    return Shelf(storage=Storage.at(str(tmp_path)))


@pytest.fixture
def keepers():
    return Keepers()


@pytest.fixture
def start_loop(shelf, keepers):
    def start():
        loop = Loop(shelf, keepers, lambda event, **details: said.append((event, details)))
        loop.refresh()
        return loop

    said = start.said = []
    return start


def told(shelf, name="nightly"):
    """What became of each tick of a schedule, in their order."""
    entries = list(shelf.log().entries(f"{name}~1"))[::-1]
    return [(one.tick, one.outcome) for entry in entries for one in entry.ticks]


def fates(shelf):
    return [outcome for _, outcome in told(shelf)]


def end(shelf, run_id, state=RunState.SUCCEEDED):
    entry = next(shelf.log().entries("nightly~1"))
    outcome = next(one for one in entry.open if one.run_id == run_id)
    shelf.endings("nightly").record(outcome, Ending(state=state, time=FIRST, why=None, attempts=1))


def test_a_tick_fires_when_it_is_due_and_once(shelf, keepers, start_loop):
    shelf.write(make_schedule(every_s=3600))
    loop = start_loop()
    loop.turn(FIRST + HOUR - timedelta(seconds=1))
    assert keepers.started == []
    for _ in range(3):
        loop.turn(FIRST + HOUR)
    assert len(keepers.started) == 1
    assert loop.fires_at == FIRST + 2 * HOUR


def test_a_clock_that_is_set_back_fires_nothing_again(shelf, keepers, start_loop):
    shelf.write(make_schedule(every_s=3600, overlap="allow"))
    loop = start_loop()
    for hour in (1, 2, 0, 1, 2, 3):
        loop.turn(FIRST + HOUR * hour)
    start_loop().turn(FIRST + HOUR)
    assert told(shelf) == [(FIRST + HOUR * hour, "fired") for hour in (1, 2, 3)]


def test_a_clock_that_jumps_forth_leaves_ticks_to_the_policy(shelf, keepers, start_loop):
    shelf.write(make_schedule(every_s=3600))
    start_loop().turn(FIRST + HOUR * 48)
    assert fates(shelf) == ["missed"] * 47 + ["fired"]


def test_a_run_that_goes_on_keeps_the_next_from_firing_until_it_has_ended(
    shelf, keepers, start_loop
):
    shelf.write(make_schedule(every_s=3600))
    loop = start_loop()
    loop.turn(FIRST + HOUR)
    loop.turn(FIRST + HOUR * 2)
    end(shelf, keepers.started[0])
    loop.turn(FIRST + HOUR * 3)
    assert fates(shelf) == ["fired", "skipped", "fired"]


def test_two_loops_part_the_ticks_among_them(shelf, keepers, start_loop):
    for name in ("nightly", "other"):
        shelf.write(make_schedule(name, every_s=3600, overlap="allow"))
    loops = start_loop(), start_loop()
    for hour in range(1, 20):
        for loop in loops if hour % 2 else loops[::-1]:
            while loop.fires_at <= FIRST + HOUR * hour:
                loop.turn(FIRST + HOUR * hour)
    assert fates(shelf) == ["fired"] * 19
    assert len(keepers.started) == len(set(keepers.started)) == 38


def test_what_was_fired_and_not_started_is_taken_up(shelf, keepers, start_loop):
    shelf.write(make_schedule(every_s=3600))
    start_loop().turn(FIRST + HOUR)
    run_id = keepers.started[0]
    keepers.working.clear()  # Its keeper was killed.
    loop = start_loop()
    loop.take_up()
    loop.take_up()
    assert keepers.started == [run_id, run_id]
    end(shelf, run_id)
    keepers.working.clear()
    loop.take_up()
    assert len(keepers.started) == 2


def test_changes_are_seen(shelf, keepers, start_loop):
    loop = start_loop()
    shelf.write(make_schedule(every_s=3600, overlap="allow"))
    loop.refresh()
    loop.turn(FIRST + HOUR)
    shelf.pause("nightly", at=FIRST + HOUR)
    loop.refresh()
    loop.turn(FIRST + HOUR * 2)
    shelf.pause("nightly", at=None)
    loop.refresh()
    loop.turn(FIRST + HOUR * 3)
    shelf.remove("nightly")
    loop.refresh()
    loop.turn(FIRST + HOUR * 4)
    assert fates(shelf) == ["fired", "skipped", "fired"]
    assert loop.schedules == 0


def test_ticks_of_a_pause_that_no_loop_saw_are_skipped(shelf, start_loop):
    schedule = make_schedule(every_s=3600, paused_at=FIRST)
    shelf.write(schedule)
    settle(schedule, shelf.log(), shelf.endings("nightly"), FIRST + HOUR * 2500.5)
    shelf.pause("nightly", at=None)
    start_loop().turn(FIRST + HOUR * 2501)
    assert fates(shelf) == ["skipped"] * 2500 + ["fired"]


def test_a_tick_by_hand_is_one_more(shelf, keepers, start_loop):
    schedule = make_schedule(every_s=3600, overlap="allow")
    shelf.write(schedule)
    loop = start_loop()
    loop.turn(FIRST + HOUR)
    fire_now(schedule, shelf.log(), shelf.endings("nightly"), FIRST + HOUR * 1.5)
    loop.turn(FIRST + HOUR * 2)
    loop.turn(FIRST + HOUR * 2)
    assert told(shelf) == [(FIRST + HOUR * hour, "fired") for hour in (1, 1.5, 2)]


def test_other_times_count_from_the_change(shelf, keepers, start_loop):
    schedule = make_schedule(cron="0 0 1 1 *", misfire="all", overlap="allow")
    shelf.write(schedule)
    loop = start_loop()
    then = FIRST + HOUR * 100
    shelf.write(dataclasses.replace(schedule, cron="0 * * * *", since=then))
    loop.refresh()
    loop.turn(then + HOUR)
    assert told(shelf) == [(then + HOUR, "fired")]


def test_a_schedule_that_is_damaged_keeps_no_other_from_firing(shelf, keepers, start_loop):
    for name in ("damaged", "nightly"):
        shelf.write(make_schedule(name, every_s=3600))
    SchedulesFolder.of(shelf.storage).schedule("damaged").definition.write_text(
        '{"name": "damaged"}'
    )
    loop = start_loop()
    loop.turn(FIRST + HOUR)
    assert fates(shelf) == ["fired"]
    assert [event for event, _ in start_loop.said] == ["unreadable", "tick"]


def test_what_can_not_be_recorded_is_recorded_later(shelf, keepers, start_loop, monkeypatch):
    shelf.write(make_schedule(every_s=3600))
    loop = start_loop()

    def fail(log, number, content):
        raise UnavailableError("The disk is full.")

    with monkeypatch.context() as broken:
        broken.setattr(Log, "_make", fail)
        loop.turn(FIRST + HOUR)
    assert (fates(shelf), keepers.started) == ([], [])
    loop.turn(FIRST + HOUR)
    assert fates(shelf) == []
    loop.turn(FIRST + HOUR + timedelta(seconds=10))
    assert fates(shelf) == ["fired"]


def test_a_note_that_can_not_be_written_makes_no_tick_fire_twice(
    shelf, keepers, start_loop, monkeypatch
):
    shelf.write(make_schedule(every_s=3600, overlap="allow"))
    loop = start_loop()

    def fail(path, value):
        raise UnavailableError("The disk is full.")

    monkeypatch.setattr(log_module, "write_json", fail)
    for hour in range(1, 130):
        loop.turn(FIRST + HOUR * hour)
    assert fates(shelf) == ["fired"] * 129
    assert len(set(keepers.started)) == len(keepers.started) == 129


def test_a_log_that_is_damaged_for_a_while_stops_no_schedule_for_good(shelf, keepers, start_loop):
    shelf.write(make_schedule(every_s=3600, overlap="allow"))
    loop, other = start_loop(), start_loop()
    other.turn(FIRST + HOUR)
    record = SchedulesFolder.of(shelf.storage).record(1)
    content = record.read_text()
    record.write_text("{")
    loop.turn(FIRST + HOUR)
    record.write_text(content)
    for second in (10, 10, 3600):
        loop.turn(FIRST + HOUR + timedelta(seconds=second))
    assert fates(shelf) == ["fired", "fired"]


def test_start_and_end_and_jitter(shelf, keepers, start_loop):
    shelf.write(
        make_schedule(
            every_s=3600,
            overlap="allow",
            start=FIRST + HOUR * 2,
            end=FIRST + HOUR * 4,
            jitter_s=600,
        )
    )
    loop = start_loop()
    fired = []
    now = FIRST
    while loop.fires_at is not None:
        now = loop.fires_at
        loop.turn(now)
        fired.append(now)
    assert [tick for tick, _ in told(shelf)] == [FIRST + HOUR * hour for hour in (2, 3, 4)]
    late = [at - tick for at, (tick, _) in zip(fired, told(shelf), strict=True)]
    assert all(timedelta() <= one < timedelta(seconds=600) for one in late)
    assert len(set(late)) == 3
