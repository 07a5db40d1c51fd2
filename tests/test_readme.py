"""What the README says can be typed and pasted."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.catalog import Job, load_entry

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
RESULTS = (ROOT / "docs" / "results.md").read_text()
COMMANDS = sorted(
    {
        line.split("#")[0].split(" > ")[0].strip()
        for block in re.findall(r"```sh\n(.*?)```", README + RESULTS, re.DOTALL)
        for line in block.splitlines()
        if line.startswith("launch-job ")
    }
)


@pytest.mark.parametrize("command", COMMANDS)
def test_command_is_one(command, tmp_path):
    """With `--help` a command's options are read, but nothing is done."""
    words = shlex.split(command)[1:]
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", *words, "--help"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "Usage: launch-job" in done.stdout


def test_example_of_a_job_loads(tmp_path):
    (code,) = [
        block
        for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL)
        if "jobs/my_job.py" in block
    ]
    path = tmp_path / "my_job.py"
    path.write_text(code)
    job = load_entry(path, Job)
    assert (job.name, job.epochs, job.parameters[0].default) == ("my-job", 3, 32)
