"""The token: there, for the user alone, and never changed under a cluster that has it."""

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.cluster.token import ensure_token, token_path
from orchestrator.errors import UnavailableError


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    return tmp_path


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_token_is_made_where_ray_looks_for_the_user_alone(home):
    path = ensure_token()
    assert path == home / ".ray" / "auth_token"
    assert len(path.read_text()) >= 32
    assert mode(path) == 0o600
    assert mode(path.parent) == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_token_that_is_there_is_kept():
    first = ensure_token().read_text()
    assert ensure_token().read_text() == first


def test_token_that_everybody_can_read_is_kept_and_closed():
    path = ensure_token()
    path.write_text("mine")
    path.chmod(0o644)
    assert ensure_token().read_text() == "mine"
    assert mode(path) == 0o600


def test_empty_file_gets_a_token():
    path = token_path()
    path.parent.mkdir()
    path.write_text("\n")
    path.chmod(0o644)
    assert len(ensure_token().read_text()) >= 32
    assert mode(path) == 0o600


def test_named_path_is_used(home, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(home / "deep" / "token"))
    assert ensure_token() == home / "deep" / "token"
    assert not (home / ".ray").exists()


def test_two_tokens_differ(home, monkeypatch):
    first = ensure_token().read_text()
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(home / "other"))
    assert ensure_token().read_text() != first


def test_runs_that_start_at_once_have_the_same_token():
    def make(_):
        return ensure_token().read_text()

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(make, range(64)))) == 1


def test_token_that_cant_be_written(home, monkeypatch):
    (home / "file").write_text("in the way")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(home / "file" / "token"))
    with pytest.raises(UnavailableError, match="file"):
        ensure_token()
