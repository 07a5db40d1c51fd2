"""The dashboard of an embedded Ray: it comes after the run's start, and no run waits for it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def test_a_dashboard_that_never_answers_holds_nothing_up(tmp_path):
    done = subprocess.run(
        [sys.executable, Path(__file__).parent / "dashboardless.py", tmp_path / "logs"],
        env={**os.environ, "HOME": str(tmp_path), "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told == {
        "begins_with": [],
        "shows": ["dashboard", "monitor"],
        "address": None,
        "computed": 3,
        "error": "The Ray dashboard did not come up.",
        "waits_for_monitor": False,
    }
