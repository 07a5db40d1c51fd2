"""How names become commands: verbs, aliases, jobs of a project, and what a shell completes."""

import json

import pytest
from sample_runs import make_runs

from orchestrator.cli.main import ALIASES, VERBS
from orchestrator.storage.storage import Storage

JOB = '''"""Tells cats from dogs."""
from typing import Annotated
from annotated_types import Ge, Lt
from orchestrator import job


@job(dataset="photos", epochs=7, batch_size=24)
def pets(units: Annotated[int, Ge(1), Lt(100)] = 8):
    return None
'''

DATASET = '''"""Photos of pets."""
from orchestrator import dataset


@dataset(offline="drawings")
def photos(context):
    return None
'''


@pytest.fixture
def project(command):
    """Make the folder of the command a project with a job, a dataset and a broken file of each."""
    (command.folder / "cluster.yaml").write_text("cluster_name: test\n")
    for kind, name, text in (("jobs", "pets", JOB), ("datasets", "photos", DATASET)):
        folder = command.folder / kind
        folder.mkdir()
        (folder / f"{name}.py").write_text(text)
        (folder / "broken.py").write_text("import nothing_of_this_name\n")
    return command


def complete(command, line, **env):
    """Return what the shell offers for the last word of a line."""
    words = line.split(" ")
    offered = command(
        _LAUNCH_JOB_COMPLETE="bash_complete",
        COMP_WORDS=line,
        COMP_CWORD=str(len(words) - 1),
        **env,
    )
    assert offered.stderr == ""
    return [entry.partition(",")[2] for entry in offered.stdout.split()]


def test_aliases_name_verbs_that_exist():
    assert set(ALIASES.values()) <= set(VERBS)
    assert not set(ALIASES) & set(VERBS)


@pytest.mark.parametrize("alias", ["list", "ps"])
def test_alias_does_what_its_verb_does(command, alias):
    make_runs(Storage(path=command.folder / "runs-store"))
    states = [run["state"] for run in json.loads(command(alias, "-o", "json").stdout)]
    assert states == ["LOST", "FAILED", "SUCCEEDED"]


@pytest.mark.parametrize(("typed", "meant"), [("reprot", "report"), ("pest", "pets")])
def test_nearest_name_is_a_verb_or_a_job_of_the_project(project, typed, meant):
    done = project(typed, code=2)
    assert f"Did you mean '{meant}'?" in done.stderr
    assert done.stdout == ""


def test_job_of_a_project_is_a_command(project):
    assert "Tells cats from dogs." in project("--help").stdout
    assert "--units" in project("pets", "--help").stdout


@pytest.mark.parametrize("args", [[], ["-o", "json"]])
@pytest.mark.parametrize("verb", ["jobs", "datasets"])
def test_lists_tell_what_could_not_be_loaded(project, verb, args):
    done = project(verb, *args)
    assert f"{verb}/broken.py does not import" in " ".join(done.stderr.split())
    assert "broken" not in done.stdout


def test_jobs_tells_every_default(project):
    told = [" ".join(line.split()) for line in project("jobs").stdout.splitlines()]
    assert told[0] == "JOB DATASET EPOCHS BATCH PARAMETERS WHAT"
    assert "pets photos 7 24 --units=8 Tells cats from dogs." in told


def test_jobs_tells_programs_the_bounds(project):
    (pets,) = [
        job for job in json.loads(project("jobs", "-o", "json").stdout) if job["name"] == "pets"
    ]
    assert pets["parameters"][0]["bounds"] == {"ge": 1, "lt": 100}
    assert "[default: 8; 1<=x<100]" in " ".join(project("pets", "--help").stdout.split())


def test_datasets_tells_what_stands_in(project):
    datasets = json.loads(project("datasets", "-o", "json").stdout)
    (photos,) = [dataset for dataset in datasets if dataset["name"] == "photos"]
    assert (photos["summary"], photos["offline"]) == ("Photos of pets.", "drawings")


def test_shell_completes_verbs_and_jobs_though_a_file_is_broken(project):
    offered = complete(project, "launch-job ")
    assert {"pets", "report", "results"} <= set(offered)
    assert complete(project, "launch-job pe") == ["pets"]


def test_shell_completes_runs_of_the_storage(command):
    storage = Storage(path=command.folder / "elsewhere")
    make_runs(storage)
    named = complete(command, f"launch-job report --storage {storage.path} 2026")
    assert named == storage.run_ids()[::-1]
    by_environment = complete(command, "launch-job report ", LAUNCH_JOB_STORAGE=str(storage.path))
    assert by_environment == ["latest", *storage.run_ids()[::-1]]


def test_errors_have_no_colour_in_a_pipe(command):
    assert "\x1b" not in command("nothing", code=2).stderr
