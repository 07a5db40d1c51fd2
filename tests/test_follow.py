"""A follower tells what the driver tells, ends when the run ends, and never before."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.driver.broadcast import Broadcast
from orchestrator.driver_lock import DriverLock
from orchestrator.errors import RunFailedError, StoppedError, UnavailableError, UsageError
from orchestrator.follow import Follower, Vital
from orchestrator.observer import Observer
from orchestrator.records.events import Event, EventLog, EventTail
from orchestrator.states import RunState
from orchestrator.storage.storage import Storage
from orchestrator.training.mailbox import Update


class Listener(Observer):
    def __init__(self):
        self.heard = []

    def note(self, text):
        self.heard.append(text)

    def progress(self, what, done, total):
        self.heard.append((what, done, total))

    def began(self, run, *, epochs, rows, steps_per_epoch):
        self.heard.append((epochs, rows, steps_per_epoch))

    def entered(self, state):
        self.heard.append(state)

    def update(self, update):
        self.heard.append((update.kind, update.epoch, update.step))


@pytest.fixture
def run(tmp_path):
    run = Storage.at(str(tmp_path)).run("20260101-000000-pets-aaaaaa")
    run.path.mkdir(parents=True)
    return run


def enter(run, *states, **details):
    for state in states:
        EventLog(path=run.events).append("state", state=state.value, **details)


def follow(run, *, between=lambda turn: None, vital=Vital.ALIVE, driven=True):
    """Follow a run; `between` is what happens to it between two looks at it."""
    listener, turns = Listener(), iter(range(1000))
    seconds = iter(range(0, 100000, 5))

    def pause(_):
        between(next(turns))

    follower = Follower(
        run=run,
        observer=listener,
        ask=lambda: (vital, ("its last line",)),
        clock=lambda: next(seconds),
        pause=pause,
    )
    if not driven:
        return follower, listener
    with DriverLock(run):
        follower.follow()
    return follower, listener


def test_what_the_driver_tells_is_heard_in_order(run, monkeypatch):
    told = Broadcast(run)
    enter(run, RunState.QUEUED)

    def happen(turn):
        if turn == 0:
            told.began(run, epochs=2, rows=10, steps_per_epoch=5)
            told.progress("Sharding", 3, 10)
        if turn == 1:
            enter(run, RunState.PREPARING, RunState.RUNNING)
            told.note("Waiting: 2 workers need 2 CPUs.")
            told.note("Waiting: 2 workers need 2 CPUs.")
        if turn == 2:
            told.update(Update(kind="ready", time_s=1.0, epoch=0, step=4))
            enter(run, RunState.STOPPED)

    with pytest.raises(StoppedError):
        follow(run, between=happen)
    # What was heard before the end.
    listener = Listener()
    follower = Follower(run=run, observer=listener, pause=lambda _: None)
    with pytest.raises(StoppedError):
        follower.follow()
    assert listener.heard == [
        RunState.QUEUED,
        (2, 10, 5),
        RunState.PREPARING,
        RunState.RUNNING,
        "Waiting: 2 workers need 2 CPUs.",
        RunState.STOPPED,
    ]


def test_step_that_the_driver_before_left_is_not_told(run):
    Broadcast(run).update(Update(kind="step", time_s=1.0, epoch=3, step=4))
    assert run.live.exists()
    enter(run, RunState.QUEUED)
    listener = Listener()
    follower = Follower(run=run, observer=listener, pause=lambda _: enter(run, RunState.STOPPED))
    with DriverLock(run), pytest.raises(StoppedError):
        follower.follow()
    assert ("step", 3, 4) not in listener.heard


def test_only_the_newest_attempt_is_told(run):
    enter(run, RunState.QUEUED, RunState.FAILED, RunState.QUEUED)
    with pytest.raises(StoppedError):
        follow(run, between=lambda turn: enter(run, RunState.STOPPED))


@pytest.mark.parametrize(
    ("code", "kind"), [(1, RunFailedError), (2, UsageError), (3, UnavailableError)]
)
def test_error_is_the_driver_s(run, code, kind):
    enter(run, RunState.QUEUED)
    error = {"message": "It broke.", "hint": "Mend it.", "exit_code": code, "lines": ["a", "b"]}
    enter(run, RunState.FAILED, error=error)
    follower, _ = follow(run, driven=False)
    with pytest.raises(kind) as caught:
        follower.follow()
    assert caught.value.exit_code == code
    assert (caught.value.message, caught.value.hint) == ("It broke.", "Mend it.")
    assert caught.value.details == ("a", "b")


def test_run_that_was_never_begun_is_failed_with_what_the_cluster_said(run):
    enter(run, RunState.QUEUED)
    follower, _ = follow(run, vital=Vital.GONE, driven=False)
    with pytest.raises(UnavailableError, match="could not begin") as caught:
        follower.follow()
    assert caught.value.details == ("its last line",)
    assert EventLog(path=run.events).state() is RunState.FAILED


def test_driver_that_is_gone_is_told(run):
    enter(run, RunState.QUEUED, RunState.PREPARING)
    follower, _ = follow(run, vital=Vital.GONE, driven=False)
    with pytest.raises(RunFailedError, match="without a last word"):
        follower.follow()


def test_last_word_that_comes_while_the_cluster_is_asked_counts(run):
    enter(run, RunState.QUEUED, RunState.PREPARING)
    follower, _ = follow(run, driven=False)

    def ask():
        enter(run, RunState.STOPPED)
        return Vital.GONE, ()

    follower.ask = ask
    with pytest.raises(StoppedError):
        follower.follow()


def test_run_of_which_nobody_knows_is_given_up_in_the_end(run):
    enter(run, RunState.QUEUED, RunState.PREPARING)
    follower, _ = follow(run, vital=Vital.UNKNOWN, driven=False)
    with pytest.raises(UnavailableError, match="does not answer"):
        follower.follow()


def test_end_of_the_run_takes_the_live_file_away(run):
    told = Broadcast(run)
    told.update(Update(kind="ready", time_s=1.0))
    assert run.live.is_file()
    told.entered(RunState.SUCCEEDED)
    assert not run.live.exists()


@settings(deadline=None)
@given(cuts=st.lists(st.integers(min_value=1, max_value=400), max_size=20))
def test_tail_returns_each_line_once_however_it_comes(tmp_path_factory, cuts):
    events = [
        Event(time=datetime.now(UTC), event="note", details={"text": f"n° {number}\n"})
        for number in range(5)
    ]
    content = "".join(event.to_line() for event in events).encode()
    growing = tmp_path_factory.mktemp("tail") / "events.jsonl"
    tail, seen = EventTail(growing), []
    for end in [*sorted(min(cut, len(content)) for cut in cuts), len(content)]:
        growing.write_bytes(content[:end])
        seen += tail.read()
    assert seen == events


def test_damaged_line_is_passed_over(tmp_path):
    path = tmp_path / "events.jsonl"
    EventLog(path=path).append("note", text="a")
    with path.open("a") as file:
        file.write("{broken\n")
    EventLog(path=path).append("note", text="b")
    assert [event.details["text"] for event in EventTail(path).read()] == ["a", "b"]
