"""A cluster that is up: who is let in, what it says, and what is left behind."""

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

HERE = Path(__file__).parent
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def joined(cluster):
    """A head with one CPU, and a node with two."""
    cluster.add(cpus=1)
    cluster.add(cpus=2)
    return cluster


def join(cluster, *files, on=None, address=None, storage=None, settings=None):
    host = on or cluster.head
    host.environment = cluster.settings() if settings is None else settings
    done = host.python(
        HERE / "join_once.py",
        address or cluster.address,
        storage or cluster.storage,
        "20261123-me",
        *files,
        check=False,
    )
    assert done.stdout.strip(), done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def holding(cluster, run_id, how):
    host = cluster.nodes[1]
    command = host.ssh(sys.executable, HERE / "hold.py", cluster.address, run_id, how)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        assert process.stdout.readline() == "held\n"
        yield
        process.communicate(timeout=30)


def test_all_is_free_where_nobody_works(joined):
    assert join(joined) == {"free": 3, "total": 3, "holders": []}
    assert join(joined, address="auto") == {"free": 3, "total": 3, "holders": []}


def test_who_holds_what_is_named(joined):
    head, node = (host.address for host in joined.nodes)
    with holding(joined, "20261123-other", "group"):
        room = join(joined)
        assert (room["free"], room["total"]) == (1, 3)
        (text,) = room["holders"]
        assert text.startswith("job 20261123-other: ")
        assert {f"1 CPU on {head}", f"1 CPU on {node}"} == set(text.split(": ")[1].split(", "))
    with holding(joined, "20261123-actor", "actor"):
        room = join(joined)
        assert room["free"] == 2
        assert room["holders"][0].startswith("job 20261123-actor: 1 CPU on 10.77.0.1")
    assert join(joined)["free"] == 3


def test_run_waits_for_room_and_gives_up_in_time(joined):
    joined.head.environment = joined.settings()
    asked = ["lstm-mnist", "--dataset", "digits", "--workers", 3, "--wait", 1]
    with holding(joined, "20261123-other", "group"):
        _, said = joined.launch_job(*asked, "--address", joined.address).end(3)
    assert "Waiting: 3 workers need 3 CPUs; 1 of 3 are free." in said
    assert "After 1 s: 3 workers need 3 CPUs; 1 of 3 are free." in said
    assert said.count("job 20261123-other: ") == 2
    runs = json.loads(joined.launch_job("ls", "-o", "json").end(0)[0])
    assert [run["state"] for run in runs] == ["FAILED"]


def test_node_that_does_not_see_the_storage_is_named(joined):
    node = joined.nodes[1]
    node.run("mount", "-t", "tmpfs", "tmpfs", joined.storage)
    try:
        told = join(joined)
    finally:
        node.run("umount", joined.storage)
    assert told["code"] == 3
    assert told["error"] == (
        "Not every node of the cluster has what the run needs: "
        f"{node.address} does not see the storage {joined.storage}."
    )
    assert list(joined.storage.rglob(".seen.*")) == []


def test_file_that_a_node_lacks_or_has_otherwise_is_named(joined):
    node = joined.nodes[1]
    mine = joined.head.disk / "home" / "job.py"
    mine.write_text("this is the job")
    node.run("mount", "-t", "tmpfs", "tmpfs", mine.parent)
    try:
        assert f"{node.address} can't read {mine}" in join(joined, mine)["error"]
        node.run("sh", "-c", f"echo another > {mine}")
        assert f"{node.address} has another {mine}" in join(joined, mine)["error"]
    finally:
        node.run("umount", mine.parent)


def test_host_that_is_cut_off_is_not_counted(joined):
    node = joined.nodes[1]
    node.unplug()
    try:
        room = join(joined)
    finally:
        node.plug()
    assert (room["free"], room["total"]) == (1, 1)


@pytest.mark.parametrize("mode", ["token", "disabled", None])
def test_token_that_is_missing_is_asked_for(joined, mode):
    told = join(joined, settings={} if mode is None else {"RAY_AUTH_MODE": mode})
    assert told["code"] == 3
    assert "token" in told["error"]
    assert "auth_token" in told["hint"]


def test_wrong_token_is_refused(joined, tmp_path):
    wrong = tmp_path / "token"
    wrong.write_text("wrong" * 8)
    told = join(joined, settings={**joined.settings(), "RAY_AUTH_TOKEN_PATH": str(wrong)})
    assert told["code"] == 3
    assert "another token" in told["error"]


def test_host_that_is_no_node_is_told_so(joined, lab):
    told = join(joined, on=lab.add())
    assert told["code"] == 3
    assert "no node on this machine" in told["error"]


def test_address_at_which_nothing_answers(joined):
    told = join(joined, address=f"{joined.head.address}:6999")
    assert told["code"] == 3
    assert "No Ray cluster answers" in told["error"]


def test_address_of_another_kind_is_a_mistake(joined):
    assert join(joined, address="ray://10.77.0.11:10001")["code"] == 2
    assert join(joined, address="10.77.0.11:port")["code"] == 2
