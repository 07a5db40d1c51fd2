"""The short form of the fault campaign (`make chaos` is the long one)."""

import subprocess
import sys
from pathlib import Path

import pytest

CAMPAIGN = Path(__file__).parent / "campaign.py"


@pytest.mark.slow
def test_runs_survive_twenty_faults():
    done = subprocess.run(
        [sys.executable, CAMPAIGN, "--faults", "20", "--seed", "20261123"],
        capture_output=True,
        text=True,
        timeout=1500,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
