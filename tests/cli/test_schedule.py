"""`launch-job schedule`, in this process but for what it starts."""

import ast
import json
import os
import shutil
import subprocess
from itertools import pairwise

import pytest
import yaml

from orchestrator.cli.main import cli, run

JOB = '''
"""Sorts pets."""
from orchestrator import job


@job(dataset="digits")
def pets({parameters}):
    """Sorts pets."""
'''


@pytest.fixture
def launch_job(tmp_path, monkeypatch, capsys):
    """Run launch-job in a project with one job; return what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAUNCH_JOB_STORAGE", str(tmp_path / "store"))
    for name in ("RAY_ADDRESS", "LAUNCH_JOB_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "cluster.yaml").touch()
    (tmp_path / "jobs").mkdir()

    def call(*args, code=0):
        assert run([str(arg) for arg in args]) == code, capsys.readouterr()
        return capsys.readouterr()

    call.folder, call.printed = tmp_path, capsys.readouterr
    write_job(call, "units: int = 3, start: int = 0")
    return call


def write_job(launch_job, parameters):
    (launch_job.folder / "jobs" / "pets.py").write_text(JOB.format(parameters=parameters))


def show(launch_job, name):
    return json.loads(launch_job("schedule", "show", name, "-o", "json").out)


def test_a_schedule_from_its_beginning_to_its_end(launch_job):
    launch_job("schedule", "add", "nightly", "pets", "--cron", "30 2 * * *",
               "--timezone", "Europe/Berlin", "--units", "5", "--workers", "2:4",
               "--", "--start", "7")  # fmt: skip
    shown = show(launch_job, "nightly")
    assert shown["args"] == ["--units", "5", "--workers", "2:4", "--start", "7"]
    assert shown["history"] == []
    (listed,) = json.loads(launch_job("schedule", "ls", "-o", "json").out)
    assert listed["next_tick"] == shown["next_tick"]
    assert "30 2 * * * Europe/Berlin" in launch_job("schedule", "ls").out
    upcoming = json.loads(launch_job("schedule", "next", "nightly", "-n", "400", "-o", "json").out)
    assert {tick[11:16] for tick in upcoming} == {"02:30", "03:00"}
    assert len({tick[:10] for tick in upcoming}) == 400
    launch_job("schedule", "pause", "nightly")
    assert "paused" in launch_job("schedule", "ls").out
    launch_job("schedule", "resume", "nightly")
    launch_job("schedule", "rm", "nightly")
    launch_job("schedule", "show", "nightly", code=2)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["pets"], "needs either --cron or --every"),
        (["pets", "--cron", "@daily", "--every", "6h"], "needs either --cron or --every"),
        (["pets", "--cron", "61 * * * *"], "is no cron line: bad minute"),
        (["pets", "--cron", "0 0 30 2 *"], "is no cron line"),
        (["pets", "--cron", "@daily", "--timezone", "Mars/Olympus"], "no time zone 'Mars/Olympus'"),
        (["pets", "--every", "often"], "--every can't be 'often'"),
        (["pets", "--every", "0s"], "between a second and ten years"),
        (["pets", "--every", "5m", "--jitter", "5m"], "no shorter than"),
        (["pets", "--cron", "@daily", "--start", "soon"], "--start can't be 'soon'"),
        (["pets", "--cron", "@daily", "--end", "2020-01-01"], "no tick before its end"),
        (["pets", "--cron", "@daily", "--overlap", "never"], "'never' is not one of"),
        (["pets", "--cron", "@daily", "--catchup-limit", "0"], "--catchup-limit"),
        (["pets", "--cron", "@daily", "--notify", "ftp://host"], "--notify can't be"),
        (["pets", "--cron", "@daily", "--units", "many"], "'many' is not a valid integer"),
        (["pets", "--cron", "@daily", "--unts", "3"], "No such option"),
        (["pets", "--cron", "@daily", "--workers", "100"], "100 workers can't share 48 streams"),
        (["pets", "--cron", "@daily", "--dataset", "digit"], "Did you mean 'digits'?"),
        (["pets", "--cron", "@daily", "--dry-run"], "--dry-run is for a run that starts now"),
        (["pet", "--cron", "@daily"], "Did you mean 'pets'?"),
        (["pets", "--cron", "@daily", "--cluster-down", "--overlap", "allow"], "--cluster-down"),
    ],
)
def test_what_can_not_be_is_refused_and_nothing_is_left(launch_job, args, message):
    assert message in launch_job("schedule", "add", "nightly", *args, code=2).err
    assert json.loads(launch_job("schedule", "ls", "-o", "json").out) == []


@pytest.mark.parametrize("name", ["Nightly", "../up", "a b", ""])
def test_a_name_that_can_not_be(launch_job, name):
    launch_job("schedule", "add", name, "pets", "--cron", "@daily", code=2)


def test_a_name_is_taken_once(launch_job):
    launch_job("schedule", "add", "nightly", "pets", "--cron", "@daily")
    said = launch_job("schedule", "add", "nightly", "pets", "--cron", "@hourly", code=2).err
    assert "already" in said
    assert show(launch_job, "nightly")["cron"] == "@daily"


@pytest.mark.parametrize(
    ("parameters", "why"),
    [("size: int = 3", "its process ended with exit code 2"), (None, "There is no job 'pets'")],
)
def test_a_job_that_has_changed_is_a_failed_tick(launch_job, parameters, why):
    told = launch_job.folder / "told.json"
    launch_job("schedule", "add", "nightly", "pets", "--cron", "@daily", "--units", "5",
               "--retries", "0", "--notify", f"cat > {told}", "--notify", "exit 7")  # fmt: skip
    if parameters:
        write_job(launch_job, parameters)
    else:
        (launch_job.folder / "jobs" / "pets.py").unlink()
    launch_job("schedule", "run", "nightly", code=1)
    (tick,) = show(launch_job, "nightly")["history"]
    assert (tick["outcome"], tick["run_id"]) == ("failed", None)
    assert json.loads(told.read_text())["state"] is None
    assert why in tick["why"]
    assert json.loads(launch_job("ls", "-o", "json").out) == []


def write_file(launch_job, text):
    (launch_job.folder / "schedules.yaml").write_text(text)


def changes(launch_job, *args):
    return json.loads(launch_job("schedule", "apply", *args, "-o", "json").out)


def test_a_file_is_applied_once(launch_job):
    write_file(
        launch_job,
        "schedules:\n"
        "  nightly:\n    job: pets\n    cron: '0 2 * * *'\n    units: 5\n    tag: [a, b]\n"
        "  often:\n    job: pets\n    every: 6h\n    deterministic: no\n",
    )
    launch_job("schedule", "add", "by-hand", "pets", "--every", "1h")
    wanted = [("add", "nightly"), ("add", "often")]
    assert [(c["action"], c["name"]) for c in changes(launch_job, "--dry-run")] == wanted
    assert [(c["action"], c["name"]) for c in changes(launch_job)] == wanted
    assert changes(launch_job) == []
    before = show(launch_job, "nightly")
    assert before["args"] == ["--units", "5", "--tag", "a", "--tag", "b"]
    assert show(launch_job, "often")["args"] == ["--no-deterministic"]

    launch_job("schedule", "pause", "nightly")
    write_file(launch_job, "schedules: {nightly: {job: pets, cron: '0 2 * * *', units: 6}}")
    changed, removed = changes(launch_job)
    assert (changed["name"], list(changed["fields"])) == ("nightly", ["args"])
    assert (removed["action"], removed["name"]) == ("remove", "often")
    after = show(launch_job, "nightly")
    assert (after["key"], after["since"], after["paused"]) == (before["key"], before["since"], True)
    names = [one["name"] for one in json.loads(launch_job("schedule", "ls", "-o", "json").out)]
    assert names == ["by-hand", "nightly"]


def test_what_changes_is_shown_to_people(launch_job):
    write_file(launch_job, "schedules: {nightly: {job: pets, cron: '@daily'}}")
    assert "+ nightly: pets, @daily UTC" in launch_job("schedule", "apply").out
    write_file(launch_job, "schedules: {nightly: {job: pets, cron: '@hourly'}}")
    said = launch_job("schedule", "apply", "--dry-run")
    assert "~ nightly\n    cron: @daily → @hourly" in said.out
    assert "dry run" in said.err
    assert show(launch_job, "nightly")["cron"] == "@daily"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("schedules:\n  n:\n    job: pets\n    cron: '61 * * * *'\n", "line 4, n.cron: '61"),
        (
            "schedules:\n  n:\n    job: pets\n    every: 1h\n    unts: 3\n",
            "line 5, n.unts: No ",
        ),
        ("schedules:\n  n:\n    job: pet\n    every: 1h\n", "line 3, n.job: There is no job"),
        ("schedules:\n  n:\n    every: 1h\n", "line 2, n: the key 'job' is missing"),
        (
            "schedules:\n  n:\n    job: pets\n    job: pets\n",
            "line 4, n.job: this key is ",
        ),
        ("schedules:\n  n: pets\n", "line 2, n: names with values are expected"),
        ("schedules:\n  n:\n    job: pets\n    every: {a: 1}\n", "line 4, n.every: a value"),
        ("nightly:\n  job: pets\n", "line 1, nightly: the only key at the top is 'schedules'"),
        ("schedules:\n  n: [\n", "line 3: "),
        ("- a\n", "line 1: names with values"),
    ],
)
def test_a_mistake_in_a_file_is_found_and_nothing_is_applied(launch_job, text, message):
    write_file(launch_job, text)
    said = launch_job("schedule", "apply", code=2).err
    assert f"{launch_job.folder / 'schedules.yaml'}, {message}" in said
    assert json.loads(launch_job("schedule", "ls", "-o", "json").out) == []


def test_a_file_that_is_not_there(launch_job):
    assert "schedules.yaml can't be read" in launch_job("schedule", "apply", code=2).err


def test_a_file_leaves_what_is_not_its_own(launch_job):
    launch_job("schedule", "add", "nightly", "pets", "--every", "1h")
    write_file(launch_job, "schedules: {nightly: {job: pets, every: 2h}}")
    assert "added by hand" in launch_job("schedule", "apply", code=2).err


TIMES = {
    "nightly": ["--cron", "30 2 * * *", "--timezone", "Europe/Berlin", "--jitter", "5m"],
    "either-day": ["--cron", "*/15 9-17 1,15 * FRI", "--misfire", "skip"],
    "often": ["--every", "45m"],
}


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not here")
@pytest.mark.parametrize("name", TIMES)
def test_systemd_takes_its_units(launch_job, name):
    launch_job("schedule", "add", name, "pets", *TIMES[name])
    units = launch_job("schedule", "export", name, "--to", "systemd", "--directory", "units").out
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units.split()], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    timer = (launch_job.folder / "units" / f"launch-job-{name}.timer").read_text()
    calendars = [line[11:] for line in timer.splitlines() if line.startswith("OnCalendar=")]
    if name == "often":
        assert "OnUnitActiveSec=2700s" in timer
        return
    elapses = sorted(moment for one in calendars for moment in _elapses(one))
    ours = json.loads(launch_job("schedule", "next", name, "-n", "20", "-o", "json").out)
    assert elapses[0][:16] == ours[0][:16].replace("T", " ")
    assert {one[11:16] for one in ours} <= {one[11:16] for one in elapses}


def _elapses(calendar):
    """Return the next times of a calendar expression, in its own zone."""
    done = subprocess.run(
        ["systemd-analyze", "calendar", "--iterations=40", calendar],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TZ": calendar.split()[-1]},
    )
    lines = [line for line in done.stdout.splitlines() if "Next elapse" in line or "Iter" in line]
    return [" ".join(line.split(": ", 1)[1].split()[1:3]) for line in lines]


def test_a_crontab_line(launch_job):
    launch_job("schedule", "add", "nightly", "pets", *TIMES["nightly"])
    said = launch_job("schedule", "export", "nightly", "--to", "cron")
    *_, zone, line = said.out.splitlines()
    assert zone == "CRON_TZ=Europe/Berlin"
    assert line.startswith("30 2 * * * flock -n ")
    assert "schedule run nightly --storage" in line
    for left_out in ("--jitter of 300 s", "--misfire latest"):
        assert left_out in said.out
        assert left_out in said.err


def test_a_crontab_has_no_word_for_some_intervals(launch_job):
    launch_job("schedule", "add", "often", "pets", "--every", "45m")
    launch_job("schedule", "export", "often", "--to", "cron", code=2)


@pytest.mark.parametrize("overlap", ["skip", "queue", "replace", "allow"])
def test_a_dag_of_airflow_is_python(launch_job, overlap):
    launch_job("schedule", "add", "nightly", "pets", *TIMES["nightly"], "--overlap", overlap)
    text = launch_job("schedule", "export", "nightly", "--to", "airflow").out
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    (dag,) = [one for one in calls if getattr(one.func, "id", "") == "DAG"]
    given = {word.arg: ast.unparse(word.value) for word in dag.keywords}
    assert given["schedule"] == "CronTriggerTimetable('30 2 * * *', timezone='Europe/Berlin')"
    assert given["max_active_runs"] == ("1" if overlap in ("queue", "replace") else "16")


PODS = ("--image", "team/train:1", "--claim", "runs")


def test_kubernetes_gets_a_cron_job_that_follows_a_rayjob(launch_job):
    launch_job("schedule", "add", "nightly", "pets", *TIMES["nightly"], "--overlap", "replace",
               "--workers", "3", "--misfire", "skip")  # fmt: skip
    export = ("schedule", "export", "nightly", "--to", "kubernetes")
    assert "--image" in launch_job(*export, code=2).err
    assert "--kubectl-image" in launch_job(*export, *PODS, code=2).err
    text = launch_job(*export, *PODS, "--kubectl-image", "team/kubectl:1").out
    objects = {one["kind"]: one for one in yaml.safe_load_all(text)}
    spec = objects["CronJob"]["spec"]
    assert (spec["schedule"], spec["timeZone"]) == ("30 2 * * *", "Europe/Berlin")
    assert (spec["concurrencyPolicy"], spec["startingDeadlineSeconds"]) == ("Replace", 60)
    rayjob = yaml.safe_load(objects["ConfigMap"]["data"]["rayjob.yaml"])
    assert "--dataset digits" in rayjob["spec"]["entrypoint"]
    assert rayjob["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["replicas"] == 3


def test_kubernetes_gets_a_ray_cron_job_where_every_tick_is_to_run(launch_job):
    launch_job("schedule", "add", "often", "pets", "--every", "6h", "--overlap", "allow",
               "--misfire", "all")  # fmt: skip
    text = launch_job("schedule", "export", "often", "--to", "kubernetes", *PODS).out
    made = yaml.safe_load(text)
    assert (made["kind"], made["spec"]["schedule"]) == ("RayCronJob", "0 */6 * * *")


def test_a_run_as_a_rayjob(launch_job):
    export = ("export", "pets", "--to", "rayjob", *PODS, "--storage", "/runs")
    made = yaml.safe_load(launch_job(*export, "--workers", "2", "--units", "5").out)
    assert made["spec"]["entrypoint"] == (
        "launch-job submit pets --workers 2 --units 5 --dataset digits "
        "--address auto --storage /runs"
    )
    launch_job(*export, "--units", "many", code=2)


def test_ticks_of_next_are_in_order(launch_job):
    launch_job("schedule", "add", "often", "pets", "--every", "90s")
    ticks = json.loads(launch_job("schedule", "next", "often", "-o", "json").out)
    assert all(a < b for a, b in pairwise(ticks))


@pytest.mark.parametrize(
    "verb",
    ["add", "apply", "ls", "show", "next", "pause", "resume", "rm", "run", "start", "export"],
)
def test_every_verb_has_help_with_an_example(launch_job, verb):
    text = launch_job("schedule", verb, "--help").out
    assert f"launch-job schedule {verb}" in text.split("Example", 1)[1]


def test_a_schedule_whose_file_is_damaged_hides_no_other(launch_job):
    for name in ("broken", "nightly"):
        launch_job("schedule", "add", name, "pets", "--cron", "@daily")
    (launch_job.folder / "store" / "schedules" / "broken" / "schedule.json").write_text("{")
    said = launch_job("schedule", "ls", "-o", "json")
    assert [one["name"] for one in json.loads(said.out)] == ["nightly"]
    assert "broken" in said.err


def test_names_are_completed(launch_job, monkeypatch):
    for name in ("nightly", "noon", "weekly"):
        launch_job("schedule", "add", name, "pets", "--cron", "@daily")
    words = {"COMP_WORDS": "launch-job schedule show n", "COMP_CWORD": "n"}
    for name, value in {"_LAUNCH_JOB_COMPLETE": "fish_complete", **words}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        cli.main([], prog_name="launch-job")
    found = launch_job.printed().out.splitlines()
    assert [line.split(",")[-1].strip() for line in found] == ["nightly", "noon"]
