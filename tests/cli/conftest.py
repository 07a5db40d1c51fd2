"""The real command, in an empty folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def command(tmp_path):
    """Run launch-job in an empty folder, without a network."""
    (tmp_path / "home").mkdir()

    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(ROOT),
        "HTTPS_PROXY": "http://127.0.0.1:9",
    }

    def run(*args, code=0, **env):
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator", *map(str, args)],
            cwd=tmp_path,
            env={**environment, **env},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    run.folder, run.environment = tmp_path, environment
    return run
