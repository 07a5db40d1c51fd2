"""events.jsonl: append-only, and read whatever a crash left of it."""

import json

import pytest

from orchestrator.errors import UnavailableError
from orchestrator.records.events import EventLog
from orchestrator.states import RunState


@pytest.fixture
def log(tmp_path):
    return EventLog(path=tmp_path / "run" / "events.jsonl")


def test_events_come_back_in_order(log):
    log.append("state", state="QUEUED")
    written = log.append("epoch", epoch=1, loss=0.5, word="größer")
    assert [e.event for e in log.read()] == ["state", "epoch"]
    assert log.read()[1] == written
    assert log.state() is RunState.QUEUED


def test_every_line_is_json_with_time_and_event(log):
    log.append("state", state="QUEUED")
    log.append("epoch", epoch=1, step=3)
    lines = [json.loads(line) for line in log.path.read_text().splitlines()]
    assert all({"time", "event"} <= line.keys() for line in lines)
    assert (lines[0]["state"], lines[1]["step"]) == ("QUEUED", 3)


def test_log_that_is_not_there_has_no_events(log):
    assert log.read() == []
    assert log.state() is None


CUT_OFF = [b'{"time": "2026-01-01T00:00:00+00:00", "eve', '{"note": "ü'.encode()[:-1], b"{}", b"7"]


@pytest.mark.parametrize("rest", CUT_OFF)
def test_cut_off_line_is_passed_over(log, rest):
    log.append("state", state="QUEUED")
    with log.path.open("ab") as file:
        file.write(rest)
    assert [e.event for e in log.read()] == ["state"]


@pytest.mark.parametrize("rest", CUT_OFF)
def test_line_after_a_cut_off_one_is_not_lost(log, rest):
    """A resumed run appends to the log of one that was killed while it wrote."""
    log.append("state", state="QUEUED")
    with log.path.open("ab") as file:
        file.write(rest)
    log.append("state", state="PREPARING")
    assert [e.details for e in log.read()] == [{"state": "QUEUED"}, {"state": "PREPARING"}]
    assert log.state() is RunState.PREPARING


def test_state_that_cant_follow_is_refused_and_not_written(log):
    log.append("state", state="QUEUED")
    with pytest.raises(ValueError, match="can't go from QUEUED to SUCCEEDED"):
        log.append("state", state="SUCCEEDED")
    with pytest.raises(ValueError, match="ASLEEP"):
        log.append("state", state="ASLEEP")
    assert len(log.read()) == 1


def test_unwritable_log(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UnavailableError, match="file"):
        EventLog(path=tmp_path / "file" / "events.jsonl").append("note")
