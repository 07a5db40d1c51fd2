"""What looks after a run, up to the processes that it starts."""

from datetime import timedelta

import pytest
from sample_schedules import FIRST, make_schedule

from orchestrator.driver_lock import DriverLock, hold
from orchestrator.records.events import EventLog
from orchestrator.schedule import keeper as module
from orchestrator.schedule.decision import Outcome
from orchestrator.schedule.ending import Ending
from orchestrator.schedule.keeper import Keeper, run_words
from orchestrator.schedule.shelf import Shelf
from orchestrator.states import RunState
from orchestrator.storage.storage import Storage

BEGUN = (RunState.QUEUED, RunState.PREPARING, RunState.RUNNING)


class Tick:
    """A tick that was fired, and a keeper whose processes are those of a test.

    Args:
        shelf: Where its schedule is.
        processes: For each process, the states that it leaves its run in, and its exit code.
    """

    def __init__(self, shelf, processes=(), *, after=(), **wanted):
        self.shelf = shelf
        wanted = {"folder": str(shelf.storage.path), "args": ("--dataset", "digits"), **wanted}
        schedule = make_schedule(every_s=3600, **wanted)
        shelf.write(schedule)
        tick = FIRST + timedelta(hours=1)
        self.outcome = Outcome(
            tick=tick, outcome="fired", run_id=schedule.run_id(tick), why="due", after=after
        )
        self.run = shelf.storage.run(self.outcome.run_id)
        self.endings = shelf.endings("nightly")
        self.processes, self.words = list(processes), []
        self.keeper = Keeper(
            schedule=schedule, outcome=self.outcome, endings=self.endings, storage=shelf.storage
        )
        self.keeper._launch_job = self._launch_job

    def _launch_job(self, *words):
        self.words.append(words[0] if words[0] != "cluster" else " ".join(words))
        if words[0] == "cluster":
            return 0
        states, code = self.processes.pop(0)
        self.enter(*states)
        return code

    def enter(self, *states):
        for state in states:
            EventLog(path=self.run.events).append("state", state=state.value)


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    return Shelf(storage=Storage.at(str(tmp_path)))


def test_a_run_that_succeeds(shelf):
    tick = Tick(shelf, [((*BEGUN, RunState.SUCCEEDED), 0)])
    ending = tick.keeper.keep()
    assert (ending.state, ending.why, ending.attempts) == (RunState.SUCCEEDED, None, 1)
    assert tick.endings.of(tick.outcome) == ending
    assert tick.keeper.keep() is None
    assert tick.words == ["submit"]


def test_what_can_not_be_had_is_tried_again(shelf):
    tick = Tick(shelf, [((), 3), ((), 3), ((*BEGUN, RunState.SUCCEEDED), 0)], retries=2)
    assert tick.keeper.keep().attempts == 3
    tick = Tick(shelf, [((), 3)] * 2, retries=1, name="nightly", since=FIRST + timedelta(days=9))
    tick.endings.folder.attempts(tick.outcome.run_id).unlink()
    tick.outcome = tick.keeper.outcome = Outcome(
        tick=FIRST, outcome="fired", run_id="another", why="due"
    )
    ending = tick.keeper.keep()
    assert (ending.state, ending.attempts) == (None, 2)


def test_a_run_whose_process_was_killed_is_taken_up(shelf):
    tick = Tick(shelf, [(BEGUN, -9), ((RunState.LOST, *BEGUN, RunState.SUCCEEDED), 0)])
    assert tick.keeper.keep().state is RunState.SUCCEEDED
    assert tick.words == ["submit", "resume"]


def test_a_run_that_lost_its_process_and_its_keeper_is_taken_up(shelf):
    tick = Tick(shelf, [((RunState.LOST, *BEGUN, RunState.SUCCEEDED), 0)])
    tick.enter(*BEGUN)
    assert tick.keeper.keep().state is RunState.SUCCEEDED
    assert tick.words == ["resume"]


@pytest.mark.parametrize(
    ("state", "code"), [(RunState.FAILED, 1), (RunState.STOPPED, 130), (RunState.FAILED, 2)]
)
def test_what_does_not_pass_by_itself_is_not_tried_again(shelf, state, code):
    tick = Tick(shelf, [((*BEGUN, state), code)])
    ending = tick.keeper.keep()
    assert (ending.state, ending.attempts) == (state, 1)


def test_attempts_of_keepers_that_died_count(shelf):
    tick = Tick(shelf, [((), 3)], retries=2)
    folder = tick.endings.folder.attempts(tick.outcome.run_id)
    folder.parent.mkdir(parents=True)
    folder.write_text('{"attempts": 2}')
    assert tick.keeper.keep().attempts == 3
    assert tick.words == ["submit"]


def test_a_tick_has_one_keeper(shelf):
    tick = Tick(shelf)
    handle = hold(tick.endings.folder.attempts(tick.outcome.run_id))
    assert handle is not None
    assert tick.keeper.keep() is None
    assert tick.words == []


def test_a_cluster_goes_up_before_and_down_after(shelf):
    done = [((*BEGUN, RunState.SUCCEEDED), 0)]
    tick = Tick(shelf, done, cluster_up=True, cluster_down=True)
    tick.keeper.keep()
    assert tick.words == ["cluster up", "submit", "cluster down"]


def test_a_tick_waits_for_the_runs_before_it(shelf, monkeypatch):
    tick = Tick(shelf, [((*BEGUN, RunState.SUCCEEDED), 0)], after=("before",), overlap="queue")
    before = Outcome(tick=FIRST, outcome="fired", run_id="before", why="due")
    looks = []

    def look(seconds):
        looks.append(list(tick.words))
        if len(looks) == 3:
            tick.endings.record(
                before, Ending(state=RunState.FAILED, time=FIRST, why=None, attempts=1)
            )

    monkeypatch.setattr(module.time, "sleep", look)
    assert tick.keeper.keep().state is RunState.SUCCEEDED
    assert looks == [[]] * 3


def test_a_run_that_is_replaced_is_asked_to_stop_until_it_has(shelf, monkeypatch):
    tick = Tick(shelf, [((*BEGUN, RunState.SUCCEEDED), 0)], after=("before",), overlap="replace")
    before = Outcome(tick=FIRST, outcome="fired", run_id="before", why="due")
    run, asked = shelf.storage.run("before"), []
    driver = DriverLock(run)
    driver.__enter__()

    def look(seconds):
        asked.append(run.stop_request.exists())
        run.stop_request.unlink()  # As a driver does that has just begun.
        if len(asked) == 2:
            driver.__exit__(None, None, None)
            tick.endings.record(
                before, Ending(state=RunState.STOPPED, time=FIRST, why=None, attempts=1)
            )

    monkeypatch.setattr(module.time, "sleep", look)
    assert tick.keeper.keep().state is RunState.SUCCEEDED
    assert asked == [True, True]


def test_a_tick_that_waits_ends_with_its_schedule(shelf, monkeypatch):
    tick = Tick(shelf, after=("before",), overlap="queue")
    monkeypatch.setattr(module.time, "sleep", lambda seconds: shelf.remove("nightly"))
    assert tick.keeper.keep() is None
    assert tick.words == []


def test_a_scheduled_run_names_its_dataset_and_carries_its_tick(tmp_path):
    schedule = make_schedule(job="lstm-mnist", args=("--units", "5"), folder=str(tmp_path))
    words = run_words(schedule, tick=FIRST)
    assert words[:3] == ["lstm-mnist", "--units", "5"]
    assert words[words.index("--dataset") + 1] == "mnist"
    assert words[-4:] == ["--tag", "schedule=nightly", "--tag", f"tick={FIRST.isoformat()}"]
    named = make_schedule(job="lstm-mnist", args=("--dataset=digits",), folder=str(tmp_path))
    assert "--dataset" not in run_words(named, tick=FIRST)


def test_a_run_that_succeeded_is_over_whatever_its_process_said_last(shelf):
    tick = Tick(shelf, [((*BEGUN, RunState.SUCCEEDED), 3)])
    assert tick.keeper.keep().attempts == 1


def test_no_cluster_goes_up_for_a_job_that_is_gone(shelf):
    tick = Tick(shelf, job="gone", args=(), cluster_up=True)
    ending = tick.keeper.keep()
    assert ending.state is None
    assert "There is no job 'gone'" in ending.why
    assert tick.words == []
