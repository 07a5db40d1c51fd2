"""The program that starts a Ray's processes in place of Ray's own, beside that."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.cluster import forkclient, forkshim

WORKER = "/somewhere/ray/_private/workers/default_worker.py"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setenv(forkshim.ADDRESS, "/run/fork.sock")


def asked(*, language: str = "PYTHON", **context: object) -> list[str]:
    """Return what Ray gives the program."""
    return [
        WORKER,
        "--raylet-name=raylet",
        f"--language={language}",
        "--runtime-env-hash=1",
        f"--serialized-runtime-env-context={json.dumps(context)}",
    ]


def test_a_worker_is_forked_with_the_arguments_that_are_its_own():
    arguments = forkshim.prepare(asked(py_executable=sys.executable, command_prefix=[]))
    assert arguments == [WORKER, "--raylet-name=raylet", "--runtime-env-hash=1"]


def test_one_without_a_runtime_environment_is_forked_too():
    assert forkshim.prepare([WORKER, "--language=PYTHON"]) == [WORKER]


def test_the_server_is_told_of_the_arguments_and_of_the_variables(tmp_path):
    import socket

    address = tmp_path / "fork.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address))
        listener.listen()
        started = subprocess.Popen(
            [sys.executable, forkshim.__file__, *asked(env_vars={"A": "1"})],
            env={**os.environ, forkshim.ADDRESS: str(address)},
        )
        client, _ = listener.accept()
    with client:
        request, fds = forkclient.receive_request(client)
        for fd in fds:
            os.close(fd)
        client.sendall(struct.pack("!ii", 4711, 7))  # Its process, and how that ended.
    assert request["argv"][0] == WORKER
    assert request["env"]["A"] == "1"
    assert started.wait() == 7


def test_one_that_is_left_to_ray_becomes_rays_own(tmp_path):
    own = tmp_path / "setup_worker.py"
    own.write_text("import sys; print(sys.argv[1:])")
    argv = [str(tmp_path / "worker.py"), "--language=JAVA"]
    command = [sys.executable, forkshim.__file__, *argv]
    said = subprocess.run(command, capture_output=True, text=True)
    assert said.stdout == f"{argv}\n"


@pytest.mark.parametrize(
    "wish",
    [
        {"language": "JAVA"},
        {"py_executable": "conda run python"},
        {"command_prefix": ["nice"]},
        {"override_worker_entrypoint": "/image/worker.py"},
    ],
    ids=str,
)
def test_whatever_else_is_asked_for_is_left_to_ray(wish):
    assert forkshim.prepare(asked(**wish)) is None


def test_variables_are_set_as_ray_sets_them(monkeypatch):
    from ray._private.utils import update_envs

    monkeypatch.setenv("HERE", "there")
    values = {"A": "1", "B": "${HERE}/x:$HERE", "C": "${NOT_HERE}y", "D": "${lower}", "E": "${A}"}
    before = dict(os.environ)
    update_envs(values)
    by_ray = dict(os.environ)
    os.environ.clear()
    os.environ.update(before)
    forkshim.prepare(asked(env_vars=values))
    assert dict(os.environ) == by_ray
    assert by_ray["B"] == "there/x:there"


def test_ray_keeps_its_program_beside_the_workers():
    from ray._private import ray_constants, workers

    folder = Path(next(iter(workers.__path__)))
    assert (folder / ray_constants.SETUP_WORKER_FILENAME).name == "setup_worker.py"
    assert (folder / "setup_worker.py").exists()
    assert (folder / "default_worker.py").exists()
