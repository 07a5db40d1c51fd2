"""The program that starts a Ray's processes in place of Ray's own, beside that."""

from __future__ import annotations

import json
import os
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
    program, *arguments = forkshim.command(asked(py_executable=sys.executable, command_prefix=[]))
    assert program == sys.executable
    assert arguments == [
        *("-I", "-S", forkclient.__file__, "/run/fork.sock"),
        *(WORKER, "--raylet-name=raylet", "--runtime-env-hash=1"),
    ]


def test_one_without_a_runtime_environment_is_forked_too():
    arguments = forkshim.command([WORKER, "--language=PYTHON"])
    assert arguments[-3:] == [forkclient.__file__, "/run/fork.sock", WORKER]


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
    own = str(Path(WORKER).with_name("setup_worker.py"))
    assert forkshim.command(asked(**wish)) == [sys.executable, own, *asked(**wish)]


def test_variables_are_set_as_ray_sets_them(monkeypatch):
    from ray._private.utils import update_envs

    monkeypatch.setenv("HERE", "there")
    values = {"A": "1", "B": "${HERE}/x:$HERE", "C": "${NOT_HERE}y", "D": "${lower}", "E": "${A}"}
    before = dict(os.environ)
    update_envs(values)
    by_ray = dict(os.environ)
    os.environ.clear()
    os.environ.update(before)
    forkshim.command(asked(env_vars=values))
    assert dict(os.environ) == by_ray
    assert by_ray["B"] == "there/x:there"


def test_ray_keeps_its_program_beside_the_workers():
    from ray._private import ray_constants, workers

    folder = Path(next(iter(workers.__path__)))
    assert (folder / ray_constants.SETUP_WORKER_FILENAME).name == "setup_worker.py"
    assert (folder / "setup_worker.py").exists()
    assert (folder / "default_worker.py").exists()
