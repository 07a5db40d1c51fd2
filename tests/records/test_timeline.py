"""The time line of a run: noted where things happen, read from the log."""

import time

import pytest

from orchestrator.records import timeline
from orchestrator.records.events import EventLog
from orchestrator.records.timeline import Phase, TimeLine


@pytest.fixture(autouse=True)
def _nothing_noted():
    timeline.take_noted()


def log_of(tmp_path, *phases):
    log = EventLog(path=tmp_path / "events.jsonl")
    log.append("state", state="QUEUED")
    for phase in phases:
        log.append("phase", at=timeline.at(phase.ended_s), **phase.to_details())
    return log


def test_what_is_noted_is_taken_once():
    with timeline.phase("data"):
        pass
    (phase,) = timeline.take_noted()
    assert phase.name == "data"
    assert phase.began_s <= phase.ended_s <= time.time()
    assert timeline.take_noted() == []


def test_a_phase_that_fails_is_noted():
    with pytest.raises(ValueError, match="broken"), timeline.phase("data"):
        raise ValueError("broken")
    assert [phase.name for phase in timeline.take_noted()] == ["data"]


def test_a_log_gives_its_phases_back_in_the_order_in_which_they_began(tmp_path):
    command = Phase(name="command", began_s=100.0, ended_s=101.0)
    ray = Phase(name="start of Ray", began_s=101.0, ended_s=104.0)
    tensorflow = Phase(name="import of TensorFlow", began_s=100.5, ended_s=105.5)
    line = TimeLine.of(log_of(tmp_path, command, ray, tensorflow).read())
    assert [phase.name for phase in line.phases] == [
        "command",
        "import of TensorFlow",
        "start of Ray",
    ]
    assert line.began_s == pytest.approx(100.0)
    assert line.seconds == pytest.approx(5.5)
    assert line.to_list()[1] == {"phase": "import of TensorFlow", "after_s": 0.5, "seconds": 5.0}


def test_a_report_s_time_line_is_that_of_its_log(tmp_path):
    phases = [Phase(name=name, began_s=10.0 + i, ended_s=11.5 + i) for i, name in enumerate("abc")]
    line = TimeLine.of(log_of(tmp_path, *phases).read())
    again = TimeLine.from_list(line.to_list())
    assert again.to_list() == line.to_list()
    assert again.seconds == pytest.approx(line.seconds)


def test_what_is_gone_through_twice_counts_twice(tmp_path):
    twice = [Phase(name="placement", began_s=b, ended_s=b + 2) for b in (10.0, 20.0)]
    assert TimeLine.of(log_of(tmp_path, *twice).read()).totals() == {"placement": pytest.approx(4)}


def test_a_log_without_phases_has_an_empty_time_line(tmp_path):
    line = TimeLine.of(log_of(tmp_path).read())
    assert (line.phases, line.seconds, line.to_list()) == ((), 0.0, [])


def test_a_process_knows_when_it_began():
    assert time.time() - 3600 * 24 < timeline.process_began_s() < time.time()
