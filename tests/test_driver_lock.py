"""A run is driven as long as its driver lives, however that ends."""

import subprocess
import sys

import pytest

from orchestrator.driver_lock import DriverLock, await_end, is_driven
from orchestrator.errors import UsageError
from orchestrator.storage.run_folder import RunFolder

HOLD = """
import sys
from pathlib import Path
from orchestrator.driver_lock import DriverLock
from orchestrator.storage.run_folder import RunFolder

with DriverLock(RunFolder(path=Path(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def run(tmp_path):
    return RunFolder(path=tmp_path / "run")


@pytest.fixture
def driver(run):
    """Another process that drives the run."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_nobody_drives_a_run_that_is_not_there(run):
    assert not is_driven(run)


def test_driver_is_seen_and_named(run, driver):
    assert is_driven(run)
    with pytest.raises(UsageError, match=f"process {driver.pid} on"), DriverLock(run):
        pass


def test_killed_driver_has_let_go(run, driver):
    driver.kill()
    driver.wait()
    assert not is_driven(run)
    with DriverLock(run):
        assert is_driven(run)


def test_its_end_can_be_waited_for(run, driver):
    driver.stdin.close()
    await_end(run)
    assert driver.wait() == 0


def test_lock_is_let_go_of_at_the_end(run):
    with DriverLock(run):
        pass
    assert not is_driven(run)
