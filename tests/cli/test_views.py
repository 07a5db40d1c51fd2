"""What the verbs print of real runs: to a pipe, to a program and to a terminal."""

import json
import os
import pty
import subprocess
import sys
import termios
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from sample_runs import make_run, make_runs

from orchestrator.cli.main import cli
from orchestrator.cli.terminal import print_json
from orchestrator.driver_lock import DriverLock
from orchestrator.figures import ago, duration
from orchestrator.states import RunState
from orchestrator.storage.storage import Storage

ROOT = Path(__file__).resolve().parents[2]
DONE, FAILED, RUNNING = (
    f"2026010{n}-100000-pets-{letter * 6}" for n, letter in ((1, "a"), (2, "b"), (3, "c"))
)


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    storage = Storage(path=tmp_path_factory.mktemp("store"))
    make_runs(storage)
    with DriverLock(storage.run(RUNNING)):
        yield storage


@pytest.fixture
def view(storage):
    """Run a verb as in a pipe; return what it wrote to standard output."""

    def run(*args):
        done = CliRunner().invoke(
            cli, [*args, "--storage", str(storage.path)], catch_exceptions=False
        )
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


def lines(text):
    return [" ".join(line.split()) for line in text.splitlines()]


def test_ls_tells_each_run_newest_first(view):
    head, running, failed, done = lines(view("ls"))
    assert head == "RUN NAME DATASET WORKERS STATE EPOCHS ACCURACY TOOK ASKED"
    assert running.startswith(f"{RUNNING} – photos 2 RUNNING 1/2 –")
    assert failed == f"{FAILED} – photos 2 FAILED 1/2 – 1 m 23 s 5 h ago"
    assert done == f"{DONE} first photos 2 SUCCEEDED 2/2 90.00% 1 m 23 s 3 d ago"


def test_ls_shows_as_many_as_asked(view):
    assert [run["run_id"] for run in json.loads(view("ls", "-l", "2", "-o", "json"))] == [
        RUNNING,
        FAILED,
    ]


def test_ls_shows_all(tmp_path):
    storage = Storage(path=tmp_path)
    for number in range(22):
        make_run(storage, f"run-{number:02d}", asked=datetime.now(UTC), state=RunState.RUNNING)
    shown = CliRunner().invoke(cli, ["ls", "--storage", str(tmp_path)]).stdout
    assert len(shown.splitlines()) == 1 + 20
    shown = CliRunner().invoke(cli, ["ls", "-a", "--storage", str(tmp_path)]).stdout
    assert len(shown.splitlines()) == 1 + 22


def test_ls_of_a_run_whose_driver_died_at_once(tmp_path):
    folder = make_run(Storage(path=tmp_path), "run", asked=datetime.now(UTC))
    folder.events.unlink()
    os.utime(folder.spec, (0, 0))
    (run,) = json.loads(
        CliRunner().invoke(cli, ["ls", "--storage", str(tmp_path), "-o", "json"]).stdout
    )
    assert (run["state"], run["started_at"][:10]) == ("LOST", "1970-01-01")


def test_ls_reads_only_the_runs_it_shows(tmp_path, view):
    storage = Storage(path=tmp_path)
    make_runs(storage)
    storage.run(DONE).spec.write_text("damaged")
    args = ["ls", "--storage", str(tmp_path)]
    assert "damaged" not in CliRunner().invoke(cli, [*args, "-l", "2"]).stderr
    everything = CliRunner().invoke(cli, args)
    assert "spec.json is damaged" in " ".join(everything.stderr.split())
    # The others are shown all the same.
    assert [line.split()[0] for line in everything.stdout.splitlines()[1:]] == [RUNNING, FAILED]


def test_report_has_everything_a_person_asks_for(view):
    text = lines(view("report", DONE))
    for line in (
        f"{DONE} SUCCEEDED",
        "pets on photos, 2 workers on cpu",
        "Note: photos can't be had [yet]: trains on drawings.",
        "accuracy 90.00% loss 0.5000 calibration error 5.00% rows 30",
        "cat 0.8182 0.9000 0.8571 10",
        "cat dog [red]",
        "[red] 2 0 8",
        "17 [red] cat 97.00% 3.4000",
        "2 0.5000 50.00% 1,000 2.5 s",
        "1 m 23 s in all",
        f"start of Ray 0.0 s 8.0 s {'█' * 4}",
        f"training 9.0 s 1 m 10 s {'·' * 4}{'█' * 35}",
    ):
        assert line in text


def test_report_of_a_failed_run_names_the_rank_and_the_mend(view):
    text = lines(view("report", FAILED))
    assert "Input [3] is wrong." in text
    assert "First rank 1 on here" in text
    assert "Mend it." in text
    assert "Test" not in text


@pytest.mark.parametrize("name", [DONE, "20260101", "aaaaaa"])
def test_report_takes_a_part_of_the_name_and_prints_the_file(view, storage, name):
    printed = json.loads(view("report", name, "-o", "json"))
    assert printed == json.loads(storage.run(DONE).report.read_text())


def test_results_are_the_runs_that_were_evaluated(view):
    _, only = lines(view("results"))
    assert only == f"{DONE} pets photos 2 90.00% 0.5000 1,000 1 m 23 s 3 d ago"
    (row,) = json.loads(view("results", "-o", "json"))
    assert (row["accuracy"], row["params"]) == (0.9, {"units": 8})
    assert row["confusion_matrix"] == [[9, 1, 0], [0, 10, 0], [2, 0, 8]]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["--job", "pets"], 1),
        (["--job", "cars"], 0),
        (["--dataset", "photos"], 1),
        (["--dataset", "drawings"], 0),
        (["--since", "4d"], 1),
        (["--since", "12h"], 0),
        (["--since", "2025-01-01"], 1),
    ],
)
def test_results_are_filtered(view, filters, found):
    assert len(json.loads(view("results", *filters, "-o", "json"))) == found


def test_results_tell_parameters_apart(tmp_path):
    storage = Storage(path=tmp_path)
    for number, units in enumerate((8, 16)):
        make_run(storage, f"run-{number}", asked=datetime.now(UTC), params={"units": units})
    text = CliRunner().invoke(cli, ["results", "--storage", str(tmp_path)]).stdout
    assert "units=16" in text
    assert "units=8" in text


def on_terminal(*args, columns):
    """Run launch-job on a terminal of so many columns; return what it shows there."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (50, columns))
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator", *map(str, args)],
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError:
        pass  # Linux says so when the last process of a terminal has gone.
    os.close(ours)
    assert process.wait(timeout=60) == 0, shown.decode()
    return shown.decode()


@pytest.mark.parametrize("columns", [60, 80, 140])
@pytest.mark.parametrize("verb", ["ls", "results"])
def test_a_narrow_terminal_breaks_no_name(storage, verb, columns):
    """What is copied from a table is whole: a run's name, a state."""
    text = on_terminal(verb, "--storage", storage.path, columns=columns)
    assert DONE in text
    if verb == "ls":
        assert "SUCCEEDED" in text
        assert ("WORKERS" in text.splitlines()[0]) == (columns > 100)


def test_terminal_is_told_what_has_no_room(storage):
    text = on_terminal("ls", "--storage", storage.path, columns=80)
    assert "No room for " in text
    assert "No room for " not in on_terminal("ls", "--storage", storage.path, columns=140)


def test_terminal_has_colour_and_a_pipe_has_none(storage, view):
    assert "\x1b[" in on_terminal("report", DONE, "--storage", storage.path, columns=100)
    assert "\x1b[" not in view("report", DONE)


def test_json_has_no_numbers_that_json_lacks(capsys):
    """A loss that has become infinite is null: JSON has no word for it."""
    print_json({"loss": float("nan"), "history": [{"loss": float("inf")}, {"loss": 0.5}]})

    def refuse(constant):
        raise AssertionError(constant)

    values = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert values == {"loss": None, "history": [{"loss": None}, {"loss": 0.5}]}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(8.44, "8.4 s"), (59.96, "1 m 00 s"), (200, "3 m 20 s"), (7500, "2 h 05 m")],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_ago():
    now = datetime(2026, 1, 20, tzinfo=UTC)
    told = [
        ago(now - timedelta(**age), now)
        for age in ({"seconds": 3}, {"minutes": 5}, {"hours": 7}, {"days": 7}, {"days": 9})
    ]
    assert told == ["just now", "5 min ago", "7 h ago", "7 d ago", "2026-01-11"]
