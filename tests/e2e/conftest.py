import dataclasses
import os
import tempfile
from pathlib import Path

import pytest
from real_command import ROOT, Command


@pytest.fixture(scope="module")
def launch_job(tmp_path_factory):
    folder = tmp_path_factory.mktemp("command")
    (folder / "home").mkdir()
    return Command(folder)


@pytest.fixture(scope="module")
def warm(launch_job):
    """The command, whose runs find a warm cluster: none of them starts Ray again."""
    # Sockets have short paths.
    with tempfile.TemporaryDirectory(prefix="warm-") as temporary:
        kept = dataclasses.replace(launch_job, temporary=temporary)
        kept("cluster", "start", "--idle", "1h")
        yield kept
        kept("cluster", "stop", "--now")


@pytest.fixture(scope="session")
def real_mnist():
    """The folder of the real MNIST files."""
    folder = Path(os.environ.get("LAUNCH_JOB_DATA_DIR") or ROOT.parent / "shared" / "mnist")
    if not (folder / "train-images-idx3-ubyte.gz").is_file():
        pytest.skip(f"the real MNIST is not in {folder}; LAUNCH_JOB_DATA_DIR names another folder")
    return folder
