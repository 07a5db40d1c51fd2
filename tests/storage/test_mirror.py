"""A run's folder, published: from its home, to anywhere, and from one home to the next."""

from __future__ import annotations

import itertools
import os
import shutil
import threading

import pytest

from orchestrator.driver_lock import DriverLock, await_end, is_driven, publish_rest
from orchestrator.errors import RunFailedError, UsageError
from orchestrator.records.events import EventLog
from orchestrator.storage import claim as claims
from orchestrator.storage.claim import Claim, is_claimed
from orchestrator.storage.mirror import Mirror
from orchestrator.storage.objects import Objects
from orchestrator.storage.publisher import ask_to_stop
from orchestrator.storage.run_folder import RunFolder

RUN = "20261125-000000-a-run-abc123"


@pytest.fixture
def objects(bucket):
    return Objects.at(f"{bucket}/storage").within("runs", RUN)


@pytest.fixture
def mirrors(objects, tmp_path):
    """The same run on two machines."""
    found = [Mirror(folder=tmp_path / name / RUN, objects=objects) for name in ("here", "there")]
    for mirror in found:
        mirror.folder.mkdir(parents=True)
    return found


def write(mirror, **files):
    for name, content in files.items():
        path = mirror.folder / name.replace("__", "/").replace("_json", ".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def append(mirror, line):
    with (mirror.folder / "events.jsonl").open("a") as file:
        file.write(line + "\n")


def read(mirror):
    return {
        path.relative_to(mirror.folder).as_posix(): path.read_text()
        for path in mirror.folder.rglob("*")
        if path.is_file() and not path.name.startswith(".") and path.name != "driver.lock"
    }


def everything(name):
    return True


def test_what_is_pushed_is_pulled_and_what_is_dropped_goes(mirrors):
    here, there = mirrors
    write(here, spec_json="{}", checkpoints__one__arrays="1", checkpoints__one__manifest_json="1")
    write(here, **{".hidden": "x", "ray__state": "x", "stop_json": "x", "a__.b": "x"})
    append(here, "first")
    here.push()
    there.pull(everything)
    shared = {
        "spec.json": "{}",
        "checkpoints/one/arrays": "1",
        "checkpoints/one/manifest.json": "1",
        "events.jsonl": "first\n",
    }
    assert read(there) == shared
    for name in ("arrays", "manifest.json"):
        (here.folder / "checkpoints" / "one" / name).unlink()
    write(here, checkpoints__two__arrays="2", checkpoints__two__manifest_json="2")
    append(here, "second")
    here.push()
    there.pull(everything)
    assert read(there)["events.jsonl"] == "first\nsecond\n"
    assert not (there.folder / "checkpoints" / "one").exists()
    assert read(there)["checkpoints/two/arrays"] == "2"
    assert here.is_pushed()


class Watched(Objects):
    """Objects that tell what was done to them, in its order."""

    def __init__(self, objects, done):
        super().__init__(address=objects.address)
        object.__setattr__(self, "done", done)

    def write(self, name, content):
        self.done.append(name)
        super().write(name, content)

    def remove(self, name):
        self.done.append(f"-{name}")
        super().remove(name)

    def remove_folder(self, name):
        self.done.append(f"-{name}/")
        super().remove_folder(name)


def test_whoever_looks_sees_no_state_whose_files_are_missing(mirrors, objects):
    here, _ = mirrors
    done = []
    watched = Mirror(folder=here.folder, objects=Watched(objects, done))
    write(here, checkpoints__one__manifest_json="1", checkpoints__one__arrays="1", model="m")
    write(here, spec_json="{}", report_json="{}")
    append(here, "SUCCEEDED")
    watched.push()
    assert done[0] == "spec.json"
    assert done[-3:] == ["checkpoints/one/manifest.json", "report.json", "events.jsonl"]
    assert set(done[1:3]) == {"checkpoints/one/arrays", "model"}
    done.clear()
    watched.push()
    assert done == []
    (here.folder / "checkpoints" / "one" / "manifest.json").unlink()
    (here.folder / "checkpoints" / "one" / "arrays").unlink()
    watched.push()
    assert done == ["-checkpoints/one/manifest.json", "-checkpoints/one/"]
    assert objects.within("checkpoints").folders() == []


def test_the_home_is_ahead_of_what_is_published_until_another_takes_over(mirrors):
    here, there = mirrors
    write(here, spec_json="{}", checkpoints__one__arrays="1")
    append(here, "first")
    here.settle()
    here.push()
    append(here, "not published")
    write(here, checkpoints__two__arrays="not published")
    here.pull(everything)
    assert "not published" in read(here)["events.jsonl"]
    assert not here.is_pushed()
    there.fetch(everything)
    there.settle()
    append(there, "second")
    there.push()
    here.pull(everything)
    assert read(here) == read(there)
    assert read(here)["events.jsonl"] == "first\nsecond\n"
    assert "checkpoints/two/arrays" not in read(here)


def test_only_what_is_wanted_is_pulled(mirrors):
    here, there = mirrors
    write(here, spec_json="{}", report_json="{}", logs__rank="log", checkpoints__one__arrays="1")
    here.push()
    there.pull(lambda name: name == "report.json", deep=False)
    assert read(there) == {"report.json": "{}"}
    there.pull(lambda name: not name.startswith("checkpoints/"))
    assert set(read(there)) == {"spec.json", "report.json", "logs/rank"}


def test_one_driver_at_a_time_on_all_machines(mirrors):
    here, there = mirrors
    first, second = Claim(here), Claim(there)
    first.take()
    assert not is_claimed(here), "the lock in its own folder tells that"
    assert is_claimed(there)
    with pytest.raises(UsageError, match=f"driven by process {os.getpid()} on"):
        second.take()
    first.release()
    assert not is_claimed(there)
    second.take()
    assert is_claimed(here)


def test_a_claim_that_is_not_renewed_dies_and_its_driver_finds_that_out(mirrors, monkeypatch):
    here, there = mirrors
    first, second = Claim(here), Claim(there)
    first.take()
    here.settle()
    assert first.renew()
    assert not is_claimed(there, now_s=4e9)
    monkeypatch.setattr(claims, "LIFE_S", -1)
    second.take()
    there.settle()
    assert not first.renew()
    monkeypatch.setattr(claims, "LIFE_S", 60)
    assert is_claimed(here)
    assert second.renew()


def test_a_driver_that_was_killed_is_known_dead_in_its_own_folder_at_once(mirrors):
    here, _ = mirrors
    Claim(here).take()  # It is never released.
    assert not is_claimed(here)
    Claim(here).take()


def runs(mirrors):
    return [RunFolder(path=m.folder, objects=m.objects) for m in mirrors]


def test_whoever_drives_a_run_publishes_it_and_hears_that_it_is_to_stop(mirrors):
    here, there = runs(mirrors)
    with DriverLock(here):
        here.spec.write_text("{}")
        EventLog(path=here.events).append("state", state="QUEUED")
        assert is_driven(there)
        with pytest.raises(UsageError, match="already being driven"), DriverLock(there):
            pass
        ask_to_stop(there.objects)
        while not here.stop_request.exists():
            pass
        while there.objects.read("events.jsonl") is None:
            pass
        EventLog(path=here.events).append("state", state="PREPARING")
    await_end(there)
    there.pull()
    assert there.events.read_text() == here.events.read_text()
    here.stop_request.unlink()
    with DriverLock(there):
        assert not there.stop_request.exists()
        EventLog(path=there.events).append("state", state="LOST")
    here.pull()
    assert there.events.read_text() == here.events.read_text()


def test_what_a_killed_driver_had_not_published_is_published_later(mirrors):
    here, there = runs(mirrors)
    with DriverLock(here):
        here.spec.write_text("{}")
    here.report.write_text("{}")
    publish_rest(there)
    there.pull()
    assert not there.report.exists()
    publish_rest(here)
    there.pull()
    assert there.report.read_text() == "{}"


def test_a_driver_whose_run_was_taken_fails_and_publishes_nothing(mirrors):
    here, there = runs(mirrors)
    lock = DriverLock(here)
    lock.__enter__()
    here.spec.write_text("{}")
    there.mirror.settle()
    here.report.write_text("{}")
    with pytest.raises(RunFailedError, match="taken up elsewhere"):
        lock.__exit__(None, None, None)
    there.pull()
    assert "report.json" not in read(there.mirror)
    assert not is_driven(here)


def test_checkpoints_may_be_dropped_while_they_are_pushed(mirrors, objects):
    here, there = mirrors
    write(here, spec_json="{}")
    over = threading.Event()

    def save_and_drop():
        for number in itertools.count():
            folder = here.folder / "checkpoints" / f"epoch-{number}"
            for name in ("arrays", "manifest.json"):
                write(here, **{f"checkpoints__{folder.name}__{name}": str(number)})
            shutil.rmtree(here.folder / "checkpoints" / f"epoch-{number - 1}", ignore_errors=True)
            if over.is_set():
                return

    thread = threading.Thread(target=save_and_drop)
    thread.start()
    for _ in range(20):
        here.push()
    over.set()
    thread.join()
    here.push()
    there.pull(everything)
    assert read(there) == read(here)
    assert len(list((there.folder / "checkpoints").iterdir())) == 1
