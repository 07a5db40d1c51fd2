import json
import os
import secrets
import subprocess
import sys

import pytest
from group import ROOT

from orchestrator.cluster import forkclient


@pytest.fixture(scope="session")
def tensorflow_processes(tmp_path_factory):
    """Command that runs a script in a process that has imported TensorFlow already."""
    folder = tmp_path_factory.mktemp("fork")
    address = folder / "fork.sock"
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "training")])
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "orchestrator.cluster.forkserver",
                json.dumps({"address": str(address), "parent": os.getpid()}),
            ],
            env={**os.environ, "PYTHONPATH": paths},
            stdout=log,
            stderr=log,
        )
    while not address.exists() and server.poll() is None:
        os.sched_yield()
    yield [sys.executable, "-I", "-S", forkclient.__file__, str(address)]
    server.terminate()
    server.wait(timeout=30)


@pytest.fixture
def run_with_ray(tmp_path):
    """Function that runs a script, which may start a Ray, and returns what it prints last."""

    def run(script):
        (tmp_path / "token").write_text(secrets.token_hex(32))
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={
                **os.environ,
                "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token"),
                "RAY_USAGE_STATS_ENABLED": "0",
            },
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run
