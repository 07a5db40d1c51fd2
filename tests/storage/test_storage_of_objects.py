"""A storage of objects, as machines see it that have nothing else in common."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.cli import main
from orchestrator.driver_lock import DriverLock
from orchestrator.errors import StoppedError, UnavailableError, UsageError
from orchestrator.follow import Follower
from orchestrator.observer import Observer
from orchestrator.records.events import EventLog
from orchestrator.results.removal import remove_run
from orchestrator.results.runs import list_runs
from orchestrator.schedule.folder import SchedulesFolder
from orchestrator.spec import RunSpec
from orchestrator.storage.atomic import write_json
from orchestrator.storage.storage import Storage

IDS = [f"20261125-00000{number}-a-run-abc12{number}" for number in range(4)]


def begin(run):
    spec = RunSpec(
        run_id=run.run_id, job="a-job", params={}, dataset="rows", epochs=1, batch_size=1
    )
    write_json(run.spec, {"spec": spec.to_dict()})
    EventLog(path=run.events).append("state", state="QUEUED")


def states(storage, limit=None):
    return {run.run_id: str(run.state) for run in list_runs(storage, limit=limit)}


def test_runs_of_one_machine_are_listed_and_found_on_another(machines):
    here, there = machines
    assert states(there) == {}
    for run_id in IDS[:3]:
        with DriverLock(here.run(run_id)):
            begin(here.run(run_id))
            here.run(run_id).rank_log(0).parent.mkdir()
            here.run(run_id).rank_log(0).write_text("said")
    assert list(states(there, limit=2)) == [IDS[2], IDS[1]]
    assert there.run_ids() == IDS[:3]
    assert there.find_run("latest").run_id == IDS[2]
    found = there.find_run(IDS[0][:16])
    assert found.rank_log(0).read_text() == "said"
    assert found.shown(found.rank_log(0)) == f"{there}/runs/{IDS[0]}/logs/rank-0000.log"
    with pytest.raises(UsageError, match=f"no run 'nothing' in {there}"):
        there.find_run("nothing")


def test_a_run_is_lost_when_no_driver_lives_anywhere(machines, monkeypatch):
    here, there = machines
    run = here.run(IDS[0])
    with DriverLock(run):
        begin(run)
        while there.run_ids() != [IDS[0]]:
            pass
        there.find_run(IDS[0])
        assert states(there) == {IDS[0]: "QUEUED"}
        assert states(here) == {IDS[0]: "QUEUED"}
        monkeypatch.setattr("orchestrator.storage.claim.LIFE_S", -1)
        assert states(there) == {IDS[0]: "LOST"}
        assert states(here) == {IDS[0]: "QUEUED"}, "its lock tells that it lives"
    assert states(here) == {IDS[0]: "LOST"}


def test_what_is_gone_from_the_storage_is_no_run_though_a_copy_is_here(machines):
    here, there = machines
    with DriverLock(here.run(IDS[0])):
        begin(here.run(IDS[0]))
    assert there.run_ids() == [IDS[0]]
    there.objects.within("runs").remove_folder(IDS[0])
    assert there.run_ids() == []


def test_two_that_resume_a_run_at_once_do_not_both_drive_it(machines):
    first = machines[0].run(IDS[0])
    with DriverLock(first):
        begin(first)
    held = []

    def drive(storage):
        with contextlib.suppress(UsageError), DriverLock(storage.run(IDS[0])):
            held.append(storage)
            assert len(held) == 1
            held.remove(storage)

    with ThreadPoolExecutor(2) as pool:
        for _ in range(3):
            list(pool.map(drive, machines))


def test_the_same_address_at_another_server_is_another_storage(bucket, monkeypatch):
    one = Storage.at(f"{bucket}/storage")
    for server in ("AWS_ENDPOINT_URL", "STORAGE_EMULATOR_HOST"):
        monkeypatch.setenv(server, "http://elsewhere")
    other = Storage.at(f"{bucket}/storage/")
    assert (one.objects, str(one)) == (other.objects, f"{bucket}/storage")
    assert one.path != other.path


def test_a_storage_that_can_not_be_written_is_refused_before_anything_starts(bucket):
    storage = Storage.at(f"{bucket}/storage")
    storage.check_writable()
    assert storage.objects.states() == {}
    nowhere = f"{bucket.partition(':')[0]}://no-such-bucket-at-all"
    with pytest.raises(UnavailableError, match=nowhere):
        Storage.at(f"{nowhere}/storage").check_writable()


def test_a_run_is_removed_everywhere_but_not_while_it_goes_on(machines):
    here, there = machines
    with DriverLock(here.run(IDS[0])):
        begin(here.run(IDS[0]))
        while there.run_ids() != [IDS[0]]:
            pass
        for storage in machines:
            with pytest.raises(UsageError, match="goes on"):
                remove_run(storage.find_run(IDS[0]))
    remove_run(there.find_run(IDS[0]))
    assert there.run_ids() == []
    assert there.objects.states() == {}


def test_a_run_is_followed_from_another_machine(machines):
    here, there = machines
    told = []

    class Told(Observer):
        def entered(self, state):
            told.append(str(state))

    run = here.run(IDS[0])
    with DriverLock(run):
        begin(run)
        while there.run_ids() != [IDS[0]]:
            pass
        follower = Follower(run=there.find_run(IDS[0]), observer=Told())
        with ThreadPoolExecutor(1) as pool:
            following = pool.submit(follower.follow)
            while "QUEUED" not in told:
                pass
            EventLog(path=run.events).append("state", state="STOPPED")
            with pytest.raises(StoppedError):
                following.result(timeout=60)
    assert told[-1] == "STOPPED"


def test_what_all_machines_would_have_to_see_alike_is_refused(bucket):
    with pytest.raises(UsageError, match=f"Schedules can't be kept in {bucket}"):
        SchedulesFolder.of(Storage.at(bucket))


def test_a_cluster_needs_a_folder_and_nothing_is_begun_without(machines, capsys):
    here, _ = machines
    asked = ["lstm-mnist", "--dataset", "digits", "--address", "http://127.0.0.1:9"]
    assert main.run([*asked, "--storage", str(here)]) == 2
    assert f"A run on a cluster can't be kept in {here}" in capsys.readouterr().err
    assert here.objects.states() == {}
