"""Fork servers of Ray jobs: each job's processes belong to it, and are those of its run."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.cluster import forkclient
from orchestrator.cluster.jobserver import claim_job, prepare_job
from orchestrator.cluster.leftovers import MARK

ROOT = Path(__file__).resolve().parents[2]

#: A server that imports little, so that these tests don't wait for TensorFlow.
SERVER = """
import contextlib, json, sys
from orchestrator.cluster import forkserver, jobserver
forkserver.PRELOAD = ("fractions",)
forkserver.PRELOAD_RAY = ("stands_for_ray",)
forkserver.untouched_randomness = contextlib.nullcontext
jobserver.main(**json.loads(sys.argv[1]))
"""

#: Reads the environment when it is imported, as Ray's core does.
STANDS_FOR_RAY = """
import os
identity = os.environ.get("RAY_JOB_ID"), os.environ.get("RAY_RAYLET_PID")
"""

FIRST, SECOND, THIRD = "01000000", "02000000", "03000000"

#: What a process tells of itself.
SAYS = """
import json, os, sys, stands_for_ray
print(json.dumps({
    "identity": stands_for_ray.identity,
    "env": dict(os.environ),
    "path": sys.path,
    "cwd": os.getcwd(),
    "fractions": "fractions" in sys.modules,
}))
"""

LONG = "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)\n"


@pytest.fixture
def servers(tmp_path):
    """Give the socket of the servers, which were told of the first job."""
    address = tmp_path / "servers" / "fork.sock"
    (tmp_path / "stands_for_ray.py").write_text(STANDS_FOR_RAY)
    request = json.dumps({"address": str(address), "parent": os.getpid()})
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, request],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}", MARK: "ours", "KEPT": "server"},
    )
    try:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                prepare_job(address, FIRST, raylet="77")
                break
            assert process.poll() is None
        yield address
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def started(servers, job, tmp_path, text, **more):
    """Start a process of a job, as Ray does."""
    path = tmp_path / "script.py"
    path.write_text(text)
    own = {"RAY_JOB_ID": job, "RAY_RAYLET_PID": "77", MARK: "ours", "KEPT": "server", **more}
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", forkclient.__file__, str(servers.parent), str(path)],
        env={"PATH": os.environ["PATH"], **own},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        process.kill()


def said(servers, job, tmp_path, **more):
    with started(servers, job, tmp_path, SAYS, **more) as process:
        out, err = process.communicate(timeout=30)
    assert err == ""
    return json.loads(out)


def test_each_job_has_ray_imported_for_itself(servers, tmp_path):
    prepare_job(servers, SECOND)
    for job in (SECOND, FIRST, SECOND):
        told = said(servers, job, tmp_path)
        assert told["identity"] == [job, "77"]
        assert told["fractions"]


def test_next_job_is_the_one_after_all_that_were_told(servers):
    assert prepare_job(servers, None) == SECOND
    assert prepare_job(servers, "ff000000") == "ff000000"
    assert prepare_job(servers, None) == "00010000"


def test_workers_have_the_surroundings_of_the_run_that_claimed_the_job(
    servers, tmp_path, monkeypatch
):
    monkeypatch.setenv("KEPT", "run")
    monkeypatch.setenv("SECRET", "of the run")
    (tmp_path / "project").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    claim_job(servers, SECOND)
    told = said(servers, SECOND, tmp_path, FROM_RAY="worker 7")
    env = told["env"]
    assert (env["KEPT"], env["SECRET"]) == ("run", "of the run")
    # What Ray adds for the worker is kept, and so is what tells whose process it is.
    assert (env["FROM_RAY"], env["RAY_JOB_ID"], env[MARK]) == ("worker 7", SECOND, "ours")
    assert str(tmp_path / "project") in told["path"]
    assert told["cwd"] == str(tmp_path / "project")


def test_another_jobs_workers_know_nothing_of_it(servers, tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "of the run")
    claim_job(servers, SECOND)
    prepare_job(servers, THIRD)
    assert "SECRET" not in said(servers, THIRD, tmp_path)["env"]


def test_server_of_an_old_job_ends_with_its_last_worker(servers, tmp_path):
    with started(servers, FIRST, tmp_path, LONG) as process:
        worker = int(process.stdout.readline())
        server = int(Path(f"/proc/{worker}/stat").read_text().rsplit(")", 1)[1].split()[1])
        prepare_job(servers, SECOND, alone=True)
        assert Path(f"/proc/{worker}").exists()
        os.kill(worker, signal.SIGKILL)
        process.communicate(timeout=30)
    until = time.monotonic() + 20
    while Path(f"/proc/{server}").exists() and time.monotonic() < until:
        os.sched_yield()
    assert not Path(f"/proc/{server}").exists()
    # It is made again, should somebody come for that job.
    prepare_job(servers, FIRST)
    assert said(servers, FIRST, tmp_path)["identity"] == [FIRST, "77"]


def test_nonsense_does_not_end_the_servers(servers, tmp_path):
    import socket

    for nonsense in (b"", b"{}\n", b"nonsense\n", b'{"job": "zz"}\n'):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(str(servers))
            client.sendall(nonsense)
    assert prepare_job(servers, "../../elsewhere") == ""
    assert prepare_job(servers, None) == SECOND
