"""Runs are watched and removed by their folders: logs, status -f, rm; and clusters are named."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from sample_runs import make_runs

from orchestrator.cli.main import run as launch_job
from orchestrator.storage.storage import Storage

SUCCEEDED, FAILED, RUNNING = (
    f"2026010{n}-100000-pets-{c * 6}" for n, c in ((1, "a"), (2, "b"), (3, "c"))
)


@pytest.fixture
def storage(tmp_path, monkeypatch):
    found = Storage.at(str(tmp_path / "store"))
    make_runs(found)
    monkeypatch.setenv("LAUNCH_JOB_STORAGE", str(found.path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.chdir(tmp_path)
    return found


@pytest.fixture
def logged(storage):
    """The run that succeeded, with what two ranks and the driver have printed."""
    found = storage.run(SUCCEEDED)
    found.logs.mkdir()
    found.driver_log.write_text("driving\n")
    for rank in (0, 1):
        found.rank_log(rank).write_text("".join(f"line {n}\n" for n in range(5)))
    return found


def test_logs_of_all_have_their_names(logged, capsys):
    assert launch_job(["logs", SUCCEEDED, "--tail", "1"]) == 0
    assert capsys.readouterr().out == "driver: driving\nrank-0000: line 4\nrank-0001: line 4\n"


def test_log_of_one_is_as_it_was_printed(logged, capsys):
    assert launch_job(["logs", SUCCEEDED, "--rank", "1", "--tail", "2"]) == 0
    assert capsys.readouterr().out == "line 3\nline 4\n"
    assert launch_job(["logs", SUCCEEDED, "--rank", "driver"]) == 0
    assert capsys.readouterr().out == "driving\n"


def test_logs_since_a_time_begin_where_the_log_ended_then(logged, capsys):
    log = logged.rank_log(0)
    then = datetime.now(UTC) - timedelta(minutes=5)
    stamps = [(then - timedelta(minutes=2), 0), (then, len("line 0\nline 1\n"))]
    times = "".join(f"{time.timestamp():.1f} {size}\n" for time, size in stamps)
    logged.log_times(log).write_text(times)
    assert launch_job(["logs", SUCCEEDED, "--rank", "0", "--since", "2m"]) == 0
    assert capsys.readouterr().out == "line 2\nline 3\nline 4\n"
    assert launch_job(["logs", SUCCEEDED, "--rank", "0", "--since", "6m"]) == 0
    assert capsys.readouterr().out.startswith("line 0\n")


def test_rank_that_has_no_log_is_a_mistake(logged, capsys):
    assert launch_job(["logs", SUCCEEDED, "--rank", "7"]) == 2
    assert "driver, rank-0000, rank-0001" in capsys.readouterr().err
    assert launch_job(["logs", SUCCEEDED, "--rank", "first"]) == 2


def test_following_a_run_that_is_over_gives_its_exit_code(storage, capsys):
    assert launch_job(["status", "-f", SUCCEEDED]) == 0
    assert "90.00% of 30 test rows right" in capsys.readouterr().out
    assert launch_job(["logs", "-f", FAILED]) == 1
    assert launch_job(["status", "-f", RUNNING]) == 1
    assert f"`launch-job resume {RUNNING}` goes on." in capsys.readouterr().err


def test_removed_runs_leave_their_rows(storage, capsys):
    assert launch_job(["rm", "-y", SUCCEEDED, FAILED]) == 0
    assert storage.run_ids() == [RUNNING]
    assert [path.name for path in storage.runs.iterdir()] == [RUNNING]
    capsys.readouterr()
    assert launch_job(["results", "-o", "json"]) == 0
    assert SUCCEEDED in capsys.readouterr().out


def test_nobody_to_ask_is_no_yes(storage, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert launch_job(["rm", SUCCEEDED]) == 2
    assert "-y removes without asking" in capsys.readouterr().err
    assert SUCCEEDED in storage.run_ids()


@pytest.mark.parametrize(
    ("address", "code", "told"),
    [
        ("ftp://head", 2, "not the address of a cluster"),
        ("http://head:99999", 2, "not the address of a cluster"),
        ("ray://head:10001", 2, "not the address of a cluster"),
        ("head:port", 2, "not the address of a cluster"),
        ("http://127.0.0.1:1", 3, "No Ray dashboard answers at http://127.0.0.1:1"),
        ("none.yaml", 3, "was not brought up from this machine"),
    ],
)
def test_address_that_leads_nowhere(storage, capsys, address, code, told):
    before = storage.run_ids()
    assert launch_job(["lstm-mnist", "--address", address]) == code
    assert told in capsys.readouterr().err
    assert storage.run_ids() == before


def test_what_only_a_cluster_can_do(storage, capsys):
    for flag in ("--detach", "--install"):
        assert launch_job(["lstm-mnist", "--dataset", "digits", flag]) == 2
        assert "Submit it to a cluster (--address)." in capsys.readouterr().err
    assert launch_job(["lstm-mnist", "--gpus", "1", "--device", "cpu"]) == 2
    assert launch_job(["lstm-mnist", "--secret", "NOT_THERE"]) == 2
    assert "read -rs NOT_THERE" in capsys.readouterr().err
