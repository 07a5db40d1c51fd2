"""launch-job init: a project that is whole, or none at all."""

import errno
import json
import os
from pathlib import Path

import pytest

from orchestrator.catalog.template import write_project
from orchestrator.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "orchestrator" / "templates" / "project"


def files_of(folder):
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_project_has_all_files_and_says_which(command):
    done = command("init", "a folder/new")
    there = command.folder / "a folder" / "new"
    assert files_of(there) == files_of(TEMPLATE)
    assert set(files_of(there)) == {
        "README.md",
        "cluster.yaml",
        "datasets/spirals.py",
        "jobs/mlp_spirals.py",
        "tests/test_mlp_spirals.py",
    }
    told = {str(Path(line).relative_to("a folder/new")) for line in done.stdout.splitlines()}
    assert told == set(files_of(there))
    assert "  cd 'a folder/new'\n  launch-job mlp-spirals --workers 2\n" in done.stderr


def test_next_commands_can_be_typed(command):
    done = command("init")
    assert "cd " not in done.stderr
    jobs = json.loads(command("jobs", "-o", "json").stdout)
    (job,) = [job for job in jobs if job["name"] == "mlp-spirals"]
    assert job["file"] == str(command.folder / "jobs" / "mlp_spirals.py")
    assert all(parameter["help"] for parameter in job["parameters"])
    plan = json.loads(command("mlp-spirals", "--workers", 2, "--dry-run", "-o", "json").stdout)
    assert (plan["train_rows"], plan["test_rows"]) == (4000, 1000)


@pytest.mark.parametrize("name", ["README.md", "cluster.yaml", "jobs/mlp_spirals.py", "tests"])
def test_what_exists_is_named_and_kept_and_nothing_else_is_written(command, name):
    path = command.folder / "mine" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    done = command("init", "mine", code=2)
    assert f"mine/{name} exists" in done.stderr
    assert "name another folder" in done.stderr
    assert done.stdout == ""
    assert files_of(command.folder / "mine") == {name: "mine"}


def test_link_to_nowhere_is_in_the_way_too(tmp_path):
    (tmp_path / "README.md").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match=r"README\.md exists"):
        write_project(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_file_in_place_of_the_folder(command):
    (command.folder / "file").write_text("mine")
    assert "file" in command("init", "file", code=2).stderr
    assert (command.folder / "file").read_text() == "mine"


def test_disk_that_fails_midway_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "mine.py").write_text("mine")
    opened = Path.open

    def fail(path, mode):
        if mode == "xb" and path.name == "cluster.yaml":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return opened(path, mode)

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(UsageError, match="No space left on device"):
        write_project(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["jobs", "mine.py"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_that_may_not_be_written(command):
    (command.folder / "locked").mkdir(mode=0o500)
    assert "can't become a project" in command("init", "locked", code=2).stderr
