"""Secrets: their names are asked for, their values are for the run's own processes alone."""

import os
import stat

import pytest

from orchestrator.errors import UsageError
from orchestrator.secrets import FILE, check_secrets, load_secrets, take_secrets, write_secrets


def test_value_goes_from_one_process_to_another(tmp_path, monkeypatch):
    path = tmp_path / "secrets"
    monkeypatch.setenv("SESAME", "hush")
    write_secrets(path, ["SESAME"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    monkeypatch.delenv("SESAME")
    monkeypatch.setenv(FILE, "")
    assert take_secrets(path)
    assert os.environ[FILE] == str(path)
    monkeypatch.delenv("SESAME")
    load_secrets()
    assert os.environ["SESAME"] == "hush"


def test_none_leaves_no_file(tmp_path, monkeypatch):
    path = tmp_path / "secrets"
    monkeypatch.setenv("SESAME", "hush")
    write_secrets(path, ["SESAME"])
    write_secrets(path, [])
    assert not path.exists()
    assert not take_secrets(path)


def test_secret_that_is_not_there_is_asked_for(monkeypatch):
    monkeypatch.delenv("SESAME", raising=False)
    with pytest.raises(UsageError, match="--secret SESAME") as caught:
        check_secrets(["SESAME"])
    assert "read -rs SESAME" in caught.value.hint
