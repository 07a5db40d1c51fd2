"""What of a project is sent: what git would commit, and no more than the limit."""

import subprocess
import zipfile

import pytest

from orchestrator.cluster.package import list_package
from orchestrator.errors import UsageError

FILES = (
    "cluster.yaml",
    "jobs/one.py",
    "jobs/__pycache__/one.pyc",
    "data/large.csv",
    "data/keep.csv",
    "notes/a.log",
    "notes/deep/b.log",
    "notes/deep/kept.log",
    ".git/HEAD",
    "build/out.bin",
    "sub/build",
    "with space/é.txt",
)
IGNORED = {
    ".gitignore": "/data/*\n!/data/keep.csv\n*.log\nbuild/\n",
    "notes/deep/.gitignore": "!kept.log\n",
}


@pytest.fixture
def project(tmp_path):
    for name in FILES:
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    for name, text in IGNORED.items():
        (tmp_path / "project" / name).write_text(text)
    return tmp_path / "project"


def names(package):
    return [name for name, _ in package.files]


def test_same_files_as_git_has(project):
    subprocess.run(["rm", "-r", project / ".git"], check=True)
    subprocess.run(["git", "init", "-q", project], check=True)
    listed = subprocess.run(
        ["git", "-C", project, "ls-files", "-zco", "--exclude-standard"],
        capture_output=True,
        check=True,
        text=True,
    ).stdout.split("\0")
    expected = sorted(name for name in listed if name and "__pycache__" not in name)
    assert names(list_package(project)) == expected


def test_rules_of_the_repository_around_hold(project):
    (project / ".git").rename(project.parent / ".git")
    (project.parent / ".gitignore").write_text("project/jobs/\n")
    assert "jobs/one.py" not in names(list_package(project))


def test_same_files_make_the_same_archive(project, tmp_path):
    first, second = tmp_path / "1.zip", tmp_path / "2.zip"
    list_package(project).write(first)
    (project / "cluster.yaml").touch()
    list_package(project).write(second)
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        assert archive.read("with space/é.txt").decode() == "with space/é.txt"


def test_too_much_is_refused_and_the_largest_named(project):
    with (project / "jobs" / "model.bin").open("wb") as file:
        file.truncate(2_000_000_000)
    told = r"2\.0 GB to send .* 100\.0 MB .* jobs/model\.bin \(2\.0 GB\)"
    with pytest.raises(UsageError, match=told):
        list_package(project)
    (project / ".gitignore").write_text("*.bin\n")
    assert list_package(project).size_bytes < 1000
