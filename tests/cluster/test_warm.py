"""The warm cluster's record and locks: what a run finds, and what it makes of it."""

import dataclasses
import os
import subprocess
import sys
import tempfile

import pytest

from orchestrator.cluster import warm
from orchestrator.cluster.warm import WarmCluster, code_digest, find_warm, keep_record, token_digest
from orchestrator.errors import UnavailableError


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a token")


@pytest.fixture
def cluster():
    warm.make_folder()
    return WarmCluster(
        pid=os.getpid(),
        address="127.0.0.1:6379",
        dashboard="127.0.0.1:8265",
        socket="/tmp/fork.sock",
        cpus=16,
        idle_s=60.0,
        started_at="2026-01-01T00:00:00+00:00",
        token=token_digest(),
        code=code_digest(),
    )


def test_a_run_finds_what_a_living_keeper_wrote(cluster):
    keep_record(cluster)
    with warm.keeper_lock().held(alone=True):
        assert find_warm() == cluster


def test_a_dead_keeper_s_cluster_is_not_found(cluster):
    keep_record(cluster)
    hold = (
        "import tempfile; from orchestrator.cluster import warm\n"
        f"tempfile.tempdir = {tempfile.gettempdir()!r}\n"
        "with warm.keeper_lock().held(alone=True) as had:\n"
        "    print(had, flush=True); input()\n"
    )
    keeper = subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with keeper:
        assert keeper.stdout.readline() == "True\n"
        assert find_warm() == cluster
        keeper.kill()
    assert find_warm() is None


@pytest.mark.parametrize("text", ["", "{", "{}", '{"pid": 1, "of_a_later_version": true}'])
def test_a_record_that_can_t_be_read_is_no_cluster(cluster, text):
    (warm.warm_folder() / "cluster.json").write_text(text)
    with warm.keeper_lock().held(alone=True):
        assert find_warm() is None


def test_nothing_is_made_by_looking(tmp_path):
    assert find_warm() is None
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_others_can_write_is_not_trusted(cluster):
    keep_record(cluster)
    warm.warm_folder().chmod(0o777)
    with warm.keeper_lock().held(alone=True):
        assert find_warm() is None
    with pytest.raises(UnavailableError, match="not a folder of yours alone"):
        warm.make_folder()


def test_a_link_in_its_place_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    warm.warm_folder().symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnavailableError):
        warm.make_folder()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"code": "other"}, "another Python or by another version"),
        ({"token": "other"}, "another token"),
        ({"cpus": 3}, "room for 3 workers"),
    ],
)
def test_a_run_says_why_it_can_t_use_one(cluster, change, reason):
    said = dataclasses.replace(cluster, **change).unfit(4)
    assert said is None if reason is None else reason in said


def test_runs_share_the_use_and_the_keeper_has_it_alone(cluster):
    use = warm.use_lock()
    with use.held(alone=False) as first, use.held(alone=False) as second:
        assert (first, second) == (True, True)
        with use.held(alone=True) as alone:
            assert not alone
    with use.held(alone=True) as alone, use.held(alone=False) as late:
        assert (alone, late) == (True, False)


def test_another_token_has_another_digest(monkeypatch):
    before = token_digest()
    monkeypatch.setenv("RAY_AUTH_TOKEN", "another")
    assert token_digest() != before
