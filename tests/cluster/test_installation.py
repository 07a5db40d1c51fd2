"""--install: every node installs the project's lock, from the storage that all share."""

from pathlib import Path

import pytest

from orchestrator.cluster.installation import locked_environment
from orchestrator.errors import UsageError
from orchestrator.storage.storage import Storage


@pytest.fixture
def storage(tmp_path):
    return Storage(path=tmp_path / "store")


def test_same_lock_is_the_same_environment_and_another_is_another(tmp_path, storage):
    lock = tmp_path / "requirements.lock"
    lock.write_text("six==1.17.0\n")
    first = locked_environment(tmp_path, storage)
    (tmp_path / "job.py").touch()
    assert locked_environment(tmp_path, storage) == first
    kept = Path(first["uv"]["packages"][0].removeprefix("-r "))
    assert kept.read_text() == "six==1.17.0\n"
    assert kept.is_relative_to(storage.path)
    lock.write_text("six==1.16.0\n")
    assert locked_environment(tmp_path, storage) != first


def test_launch_job_travels_along(tmp_path, storage):
    (tmp_path / "requirements.lock").touch()
    (own,) = locked_environment(tmp_path, storage)["py_modules"]
    assert (Path(own) / "cli" / "drive.py").is_file()


def test_environment_fits_into_a_variable_however_long_the_lock_is(tmp_path, storage):
    lines = (f"package-{n}==1.0 --hash=sha256:{n:064x}\n" for n in range(5000))
    (tmp_path / "requirements.lock").write_text("".join(lines))
    assert len(str(locked_environment(tmp_path, storage))) < 2000


def test_lock_that_is_not_there_is_asked_for(tmp_path, storage):
    with pytest.raises(UsageError, match=r"needs a requirements\.lock"):
        locked_environment(tmp_path, storage)
    with pytest.raises(UsageError, match=r"needs a requirements\.lock"):
        locked_environment(None, storage)
