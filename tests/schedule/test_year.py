"""A year of three schedules, minute by minute, under everything that can happen to their loops."""

import os
import random
from collections import Counter
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from sample_schedules import FIRST, make_schedule

from orchestrator.schedule.ending import Ending, Endings
from orchestrator.schedule.folder import SchedulesFolder
from orchestrator.schedule.log import Log
from orchestrator.schedule.loop import Loop
from orchestrator.schedule.shelf import Shelf
from orchestrator.states import RunState
from orchestrator.storage.storage import Storage

MINUTE, YEAR = timedelta(minutes=1), timedelta(days=365)
KILLS = 1000

#: Name, zone, cron line, and the minutes and hours that the line means.
SCHEDULES = (
    ("berlin", "Europe/Berlin", "30 2 * * *", {30}, {2}),
    ("new-york", "America/New_York", "15 1,2,13 * * *", {15}, {1, 2, 13}),
    ("lord-howe", "Australia/Lord_Howe", "0 */2 * * *", {0}, set(range(0, 24, 2))),
)


class Killed(BaseException):
    """The loop's process is gone, between two of its instructions."""


class Machine:
    """Processes that look after runs; a loop may be killed before or after it starts one."""

    def __init__(self, storage, dice):
        self.storage, self.dice = storage, dice
        self.runs, self.left = Counter(), 0

    def start(self, schedule, outcome):
        self.perhaps_kill()
        # As the process itself does: it looks whether the tick has ended, or has a keeper.
        endings = Endings(folder=SchedulesFolder.of(self.storage).schedule(schedule.name))
        if not endings.has(outcome):
            self.runs[outcome.run_id] += 1
            endings.record(
                outcome,
                Ending(state=RunState.SUCCEEDED, time=outcome.tick, why=None, attempts=1),
            )
        self.perhaps_kill()

    def is_at_work(self, schedule, outcome):
        return False

    def perhaps_kill(self):
        if self.left and self.dice.random() < 0.12:
            self.left -= 1
            raise Killed


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine whose loops may also die while they write a record."""
    machine = Machine(Storage.at(str(tmp_path)), random.Random(7))
    make = Log._make

    def make_and_perhaps_die(log, number, content):
        machine.perhaps_kill()
        make(log, number, content)
        machine.perhaps_kill()

    monkeypatch.setattr(Log, "_make", make_and_perhaps_die)
    # No power cut here, and it is all that takes time.
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    return machine


def test_every_tick_of_a_year_has_one_outcome_and_each_fired_one_a_single_run(machine):
    shelf = Shelf(storage=machine.storage)
    for name, zone, line, _, _ in SCHEDULES:
        policy = {"misfire": "all", "catchup_limit": 100} if name == "berlin" else {}
        shelf.write(make_schedule(name, cron=line, timezone=zone, **policy))
    machine.left = KILLS
    _live_through(machine, shelf)
    assert machine.left == 0

    for name, zone, _, minutes, hours in SCHEDULES:
        outcomes = [
            outcome
            for entry in shelf.log().entries(f"{name}~1")
            for outcome in reversed(entry.ticks)
        ][::-1]
        ticks = [outcome.tick for outcome in outcomes]
        expected = _expected(ZoneInfo(zone), minutes, hours, starred=name == "lord-howe")
        assert ticks == expected
        fired = [outcome.run_id for outcome in outcomes if outcome.outcome == "fired"]
        assert [machine.runs[run_id] for run_id in fired] == [1] * len(fired)
        assert all(outcome.why for outcome in outcomes)
        if name == "berlin":
            assert len(fired) == len(ticks)
    assert sum(machine.runs.values()) == len(machine.runs)


def _live_through(machine, shelf):
    """Two loops look at a clock that goes by minutes, jumps, and is mended."""
    loops = [None, None]
    true = FIRST
    jumps = {machine.dice.randrange(525_600): None for _ in range(40)}
    skew, mend = timedelta(), 0
    while true < FIRST + YEAR:
        minute = int((true - FIRST) / MINUTE)
        if minute in jumps:
            skew, mend = timedelta(minutes=machine.dice.randrange(-3000, 600)), minute + 500
        elif minute == mend:
            skew = timedelta()
        now = min(true + skew, FIRST + YEAR)
        for number in (0, 1) if machine.dice.random() < 0.5 else (1, 0):
            loops[number] = _step(machine, shelf, loops[number], now)
        true += MINUTE
    _step(machine, shelf, None, FIRST + YEAR)


def _step(machine, shelf, loop, now):
    """Have a loop, or a new one in its place, look once; return it if it lives."""
    try:
        if loop is None:
            loop = Loop(shelf, machine, lambda event, **details: None)
            loop.refresh()
            loop.take_up()
        while loop.fires_at <= now:
            loop.turn(now)
    except Killed:
        return None
    return loop


def _expected(zone, minutes, hours, *, starred):
    """Return the ticks of a year by Debian's rules, from the definition of local time alone."""
    found, seen = [], set()
    moment, before = FIRST, FIRST.astimezone(zone).replace(tzinfo=None)
    while moment < FIRST + YEAR:
        moment += MINUTE
        local = moment.astimezone(zone).replace(tzinfo=None)
        # Of the times that this minute's clock has passed over, if any, and of its own.
        passed, before = (local - before) // MINUTE, local
        times = [local - MINUTE * k for k in range(1 if starred else max(passed, 1))]
        if any(one.minute in minutes and one.hour in hours for one in times) and (
            starred or local not in seen
        ):
            seen.add(local)
            found.append(moment)
    return found
