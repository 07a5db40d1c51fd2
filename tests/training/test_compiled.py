"""What XLA has compiled, kept for the next run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.training import compiled
from orchestrator.training.compiled import CompiledPrograms, folder_for

SCRIPT = Path(__file__).with_name("compile_step.py")


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.delenv("TF_XLA_FLAGS", raising=False)


@pytest.fixture
def programs(tmp_path):
    return CompiledPrograms(tmp_path / "kept", tmp_path / "work")


def compile_one(folder: Path, name: str) -> None:
    """Do as TensorFlow does."""
    (folder / f"{name}.tmp").write_text(name)
    (folder / f"{name}.tmp").rename(folder / f"{name}.pb")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_one_run_has_compiled_the_next_one_finds(tmp_path, programs, monkeypatch):
    assert programs.use() == 0
    compile_one(tmp_path / "work", "a")
    programs.publish()
    later = tmp_path / "later"
    monkeypatch.delenv("TF_XLA_FLAGS")
    assert CompiledPrograms(tmp_path / "kept", later).use() == 1
    assert (later / "a.pb").read_text() == "a"


def test_tensorflow_is_told_beside_what_the_user_has_told_it(tmp_path, programs, monkeypatch):
    monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_clustering_debug")
    programs.use()
    told = os.environ["TF_XLA_FLAGS"].split()
    assert told[0] == "--tf_xla_clustering_debug"
    assert f"--tf_xla_persistent_cache_directory={tmp_path / 'work'}" in told


def test_a_folder_of_the_users_stands(programs, monkeypatch):
    theirs = "--tf_xla_persistent_cache_directory=/theirs"
    monkeypatch.setenv("TF_XLA_FLAGS", theirs)
    assert programs.use() == 0
    programs.publish()
    assert os.environ["TF_XLA_FLAGS"] == theirs


def test_a_program_that_is_being_written_is_not_published(tmp_path, programs):
    programs.use()
    (tmp_path / "work" / "a.tmp").write_text("half of i")
    compile_one(tmp_path / "work", "b")
    programs.publish()
    assert names(tmp_path / "kept") == {"b.pb"}


def test_the_newest_are_kept(tmp_path, programs, monkeypatch):
    monkeypatch.setattr(compiled, "MOST", 2)
    programs.use()
    for age, name in enumerate("abc"):
        compile_one(tmp_path / "work", name)
        programs.publish()
        os.utime(tmp_path / "kept" / f"{name}.pb", (age, age))
    compile_one(tmp_path / "work", "d")
    programs.publish()
    assert names(tmp_path / "kept") == {"c.pb", "d.pb"}


def test_workers_of_a_machine_share_them(tmp_path, programs, monkeypatch):
    other = CompiledPrograms(tmp_path / "kept", tmp_path / "work")
    programs.use()
    compile_one(tmp_path / "work", "a")
    programs.publish()
    monkeypatch.delenv("TF_XLA_FLAGS")
    assert other.use() == 1
    compile_one(tmp_path / "work", "b")
    for one in (programs, other):
        one.publish()
    assert names(tmp_path / "kept") == {"a.pb", "b.pb"}


def test_where_nothing_can_be_kept_the_run_goes_on(tmp_path):
    (tmp_path / "kept").write_text("in the way of the folder")
    programs = CompiledPrograms(tmp_path / "kept", tmp_path / "work")
    assert programs.use() == 0
    compile_one(tmp_path / "work", "a")
    programs.publish()


def test_another_compiler_or_other_flags_have_another_folder(tmp_path):
    one = folder_for(tmp_path, compiler="2.21.0", flags="")
    assert one == folder_for(tmp_path, compiler="2.21.0", flags="")
    assert one != folder_for(tmp_path, compiler="2.22.0", flags="")
    assert one != folder_for(tmp_path, compiler="2.21.0", flags="--xla_cpu_max_isa=AVX2")


@pytest.mark.slow
def test_tensorflow_takes_what_was_kept_and_computes_the_same(tmp_path):
    said = []
    for run in ("one", "two"):
        command = [sys.executable, SCRIPT, tmp_path / "kept", tmp_path / run]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        said.append(done.stdout.split())
    (found, made, given), (found_again, made_again, given_again) = said
    assert (found, made) == ("0", "1")
    assert (found_again, made_again) == ("1", "0")
    assert given == given_again
