"""The verbs on runs that are damaged, small or kept elsewhere, and without colour."""

import json
import os
import pty
import re
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from sample_runs import make_run, make_runs

from orchestrator.records.events import EventLog
from orchestrator.records.timeline import Phase, at
from orchestrator.storage.storage import Storage

DONE, FAILED, RUNNING = (
    f"2026010{n}-100000-pets-{letter * 6}" for n, letter in ((1, "a"), (2, "b"), (3, "c"))
)


@pytest.fixture
def storage(command):
    """The command's own storage, with three runs."""
    storage = Storage(path=command.folder / "runs-store")
    make_runs(storage)
    return storage


def test_damaged_run_is_told_and_the_others_are_listed(command, storage):
    storage.run(FAILED).spec.write_text("{")
    done = command("ls", "-o", "json")
    assert [run["run_id"] for run in json.loads(done.stdout)] == [RUNNING, DONE]
    assert f"Left out: {storage.run(FAILED).spec} is damaged" in done.stderr


def test_report_counts_one_as_one(command, storage):
    make_run(storage, "small", asked=datetime(2026, 1, 1, tzinfo=UTC), workers=1, epochs=1)
    text = command("report", "small").stdout
    assert "pets on photos, 1 worker on cpu\n1 epoch, batches of 10" in text


@pytest.mark.parametrize("run", [DONE, FAILED, RUNNING])
def test_status_tells_the_whole_record(command, storage, run):
    text = command("status", run).stdout
    told = json.loads(command("status", run, "-o", "json").stdout)
    assert told["run_id"] == run
    assert f"{run}  {told['state']}" in text
    assert "Parameters  units=8" in text
    assert [e["state"] for e in told["events"] if e["event"] == "state"][:2] == [
        "QUEUED",
        "PREPARING",
    ]
    assert ("Input [3] is wrong." in text) == (run == FAILED)


SECOND = "20260104-100000-pets-dddddd"


@pytest.fixture
def two(storage):
    """The storage with one more run that succeeded: on other units, and with the same scores."""
    asked = datetime(2026, 1, 4, tzinfo=UTC)
    make_run(storage, SECOND, asked=asked, params={"units": 16})
    return storage


def test_compare_says_what_differs_and_whether_it_is_chance(command, two):
    text = command("compare", DONE, SECOND).stdout
    assert re.search(r"^units +8 +16$", text, re.M)
    assert re.search(r"^accuracy +90.00% +90.00% +±0.00%$", text, re.M)
    assert "B against A: both have the same 30 rows right and wrong." in text
    told = json.loads(command("compare", "dddddd", "aaaaaa", "-o", "json").stdout)
    assert told["runs"] == [SECOND, DONE]
    assert told["tests"][0]["p_value"] == 1.0


def test_compare_finds_the_best_runs(command, two):
    told = json.loads(
        command("compare", "--best", "accuracy", "--job", "pets", "-o", "json").stdout
    )
    assert set(told["runs"]) == {SECOND, DONE}


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ([DONE], "needs two runs"),
        ([DONE, DONE], "named twice"),
        ([DONE, RUNNING], "no report yet"),
        (["--best", "beauty"], "no best 'beauty'"),
        (["--best", "accuracy", "--job", "none"], "There are no reports of job none"),
        (["--best", "accuracy", DONE], "or have --best find them"),
        (["--job", "pets"], "Add --best accuracy"),
    ],
)
def test_comparisons_that_cant_be(command, two, args, told):
    assert told in command("compare", *args, code=2).stderr


def test_run_that_was_not_evaluated_is_compared_without_a_test(command, two):
    text = command("compare", DONE, FAILED).stdout
    assert f"no test can be made, since {FAILED} was not evaluated" in text


def test_report_writes_its_page_into_the_run_or_where_it_is_told(command, two):
    assert f"Page    {two.run(DONE).page}" in command("report", DONE).stdout
    assert "[red]" in two.run(DONE).page.read_text()
    command("report", DONE, SECOND, "--to", "both.html")
    assert SECOND in (command.folder / "both.html").read_text()
    assert "writes no page" in command("report", DONE, "-o", "json", "--to", "x", code=2).stderr


def test_what_cant_be_done_again(command, storage):
    assert "has not succeeded" in command("reproduce", FAILED, code=2).stderr
    assert "no event files" in command("tensorboard", DONE, code=2).stderr


def test_status_shows_the_time_line_of_a_run_that_goes_on(command, storage):
    log = EventLog(path=storage.run(RUNNING).events)
    ray = Phase(name="start of Ray", began_s=100.0, ended_s=104.0)
    for phase in (ray, Phase(name="placement", began_s=104.0, ended_s=105.0)):
        log.append("phase", at=at(phase.ended_s), **phase.to_details())
    lines = [line.split() for line in command("status", RUNNING, "--timeline").stdout.splitlines()]
    assert lines[1][:-1] == ["start", "of", "Ray", "0.0", "s", "4.0", "s"]
    assert lines[2] == ["placement", "4.0", "s", "1.0", "s", "·" * 32 + "█" * 8]
    told = json.loads(command("status", RUNNING, "--timeline", "-o", "json").stdout)
    assert told[1] == {"phase": "placement", "after_s": 4.0, "seconds": 1.0}


def test_report_of_a_run_that_goes_on(command, storage):
    assert "has no report yet" in command("report", RUNNING, code=2).stderr


def test_ambiguous_run(command, storage):
    assert "names 3 runs" in command("report", "2026", code=2).stderr


def test_completion_of_runs_looks_into_the_storage_that_is_set(command, storage):
    elsewhere = command.folder / "elsewhere"
    storage.path.rename(elsewhere)
    done = command(
        LAUNCH_JOB_STORAGE=str(elsewhere),
        _LAUNCH_JOB_COMPLETE="fish_complete",
        COMP_WORDS="launch-job report 2026",
        COMP_CWORD="2026",
    )
    assert done.stdout.split() == [f"plain,{run_id}" for run_id in (RUNNING, FAILED, DONE)]


COLOUR = re.compile(r"\x1b\[(?:\d+;)*[349]\d(?:;\d+)*m")


@pytest.mark.parametrize("args", [["ls"], ["report", DONE], ["report", "none"]])
def test_no_colour_where_none_is_wanted(command, storage, args):
    assert COLOUR.search(on_terminal(command, *args))
    assert not COLOUR.search(on_terminal(command, *args, NO_COLOR="1"))


def on_terminal(command, *args, **env):
    """Run launch-job on a terminal; return what it shows."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator", *args],
        cwd=command.folder,
        env={**command.environment, "TERM": "xterm-256color", **env},
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
        pass  # Linux says so when the last writer to a terminal has gone.
    finally:
        os.close(ours)
    process.wait(timeout=60)
    return shown.decode()
