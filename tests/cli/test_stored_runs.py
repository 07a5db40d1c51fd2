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

from orchestrator.events import EventLog
from orchestrator.storage import Storage
from orchestrator.timeline import Phase, at

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
