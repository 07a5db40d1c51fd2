import json
from datetime import timedelta

import pytest
from sample_schedules import FIRST

from orchestrator.errors import UnavailableError
from orchestrator.schedule.decision import Outcome
from orchestrator.schedule.folder import SchedulesFolder
from orchestrator.schedule.log import Entry, Log, OvertakenError
from orchestrator.storage.storage import Storage


def entry(hour, *, previous=0):
    tick = FIRST + timedelta(hours=hour)
    outcome = Outcome(tick=tick, outcome="fired", run_id=f"run-{hour}", why="due")
    return Entry(previous=previous, through=tick, before=(), ticks=(outcome,))


@pytest.fixture
def storage(tmp_path):
    return Storage.at(str(tmp_path))


def test_whoever_comes_second_reads_on_and_finds_what_was_recorded(storage):
    first, second = Log(storage), Log(storage)
    first.append({"a": entry(1)})
    with pytest.raises(OvertakenError):
        second.append({"a": entry(1)})
    assert second.read_on() == {"a"}
    assert second.tail("a") == entry(1)
    second.append({"a": entry(2, previous=second.number_of_last("a"))})
    assert first.read_on() == {"a"}
    assert [one.through.hour for one in first.entries("a")] == [2, 1]


def test_nothing_is_left_beside_the_records(storage):
    log = Log(storage)
    log.append({"a": entry(1)})
    with pytest.raises(OvertakenError):
        Log(storage).append({"a": entry(1)})
    folder = SchedulesFolder.of(storage).record(1).parent
    assert [path.name for path in folder.iterdir()] == ["0000000001.json"]


@pytest.mark.parametrize("records", [1, 63, 64, 65, 200])
def test_a_new_reader_knows_all_that_was_recorded(storage, records):
    log = Log(storage)
    for number in range(1, records + 1):
        key = "rare" if number % 50 == 1 else "often"
        log.append({key: entry(number, previous=log.number_of_last(key))})
    reader = Log(storage)
    reader.read_on()
    for key in ("rare", "often"):
        assert reader.tail(key) == log.tail(key)
        assert list(reader.entries(key)) == list(log.entries(key))
    found = [one for key in ("rare", "often") for one in reader.entries(key)]
    assert len(found) == records


def test_a_note_that_is_old_is_no_harm(storage):
    log = Log(storage)
    for number in range(1, 65):
        log.append({"a": entry(number, previous=number - 1)})
    old = SchedulesFolder.of(storage).note.read_text()
    for number in range(65, 130):
        log.append({"a": entry(number, previous=number - 1)})
    SchedulesFolder.of(storage).note.write_text(old)
    reader = Log(storage)
    reader.read_on()
    assert reader.tail("a") == log.tail("a")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1}', json.dumps({"a": {"previous": 0}})])
def test_a_damaged_record_is_named(storage, content):
    Log(storage).append({"a": entry(1)})
    SchedulesFolder.of(storage).record(1).write_text(content)
    with pytest.raises(UnavailableError, match=r"0000000001\.json is damaged"):
        Log(storage).read_on()
