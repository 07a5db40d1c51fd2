"""The command line as a user meets it: real processes, no Ray."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def command(tmp_path):
    """Run launch-job in an empty folder, without a network."""
    (tmp_path / "home").mkdir()

    def run(*args, code=0, **env):
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator", *map(str, args)],
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path / "home"),
                "PYTHONPATH": str(ROOT),
                "HTTPS_PROXY": "http://127.0.0.1:9",
                **env,
            },
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    run.folder = tmp_path
    return run


def test_help_lists_jobs_and_verbs(command):
    text = command("--help").stdout
    for word in ("lstm-mnist", "ls", "report", "results", "Examples:"):
        assert word in text


def test_help_imports_nothing_heavy():
    script = (
        "import sys\n"
        "from orchestrator.cli.main import run\n"
        "run(['--help'])\n"
        "heavy = {'ray', 'tensorflow', 'keras', 'pyarrow', 'deltalake', 'numpy', 'rich'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "heavy: []"


@pytest.mark.parametrize(
    "verb", ["lstm-mnist", "ls", "report", "results", "jobs", "datasets", "completion"]
)
def test_every_verb_has_help_with_an_example(command, verb):
    assert f"launch-job {verb}" in command(verb, "--help").stdout.split("Example", 1)[1]


def test_help_of_a_job_shows_its_parameters(command):
    text = command("lstm-mnist", "--help").stdout
    assert "[tanh|relu]" in text
    assert "Units of the LSTM." in text


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["lstm-mnst"], 2, "Did you mean 'lstm-mnist'?"),
        (["submit", "lstm-mnst"], 2, "Did you mean 'lstm-mnist'?"),
        (["lstm-mnist", "--activation", "sine"], 2, "'tanh', 'relu'"),
        (["lstm-mnist", "--units", "many"], 2, "--units"),
        (["lstm-mnist", "--dataset", "digit"], 2, "Did you mean 'digits'?"),
        (["lstm-mnist", "--dataset", "digits", "--workers", "0"], 2, "--workers must be at"),
        (["lstm-mnist", "--dataset", "digits", "--workers", "-1"], 2, "--workers must be at"),
        (["lstm-mnist", "--dataset", "digits", "--workers", "49"], 2, "49 workers can't share"),
        (["lstm-mnist", "--dataset", "digits", "--workers", "4", "--batch-size", "3"], 2, "batch"),
        (["lstm-mnist", "--dataset", "digits", "--epochs", "0"], 2, "--epochs must be at least 1"),
        (["lstm-mnist", "--dataset", "mnist"], 3, "--data-dir"),
        (["lstm-mnist", "--data-dir", "nowhere"], 2, "train-images-idx3-ubyte.gz"),
        (["report", "latest"], 2, "There is no run 'latest'"),
        (["results", "--since", "yesterday"], 2, "is not a time"),
    ],
)
def test_bad_input_is_told_and_leaves_nothing(command, args, code, message):
    done = command(*args, code=code)
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (command.folder / "runs-store").exists()


def test_debug_shows_the_traceback(command):
    assert "Traceback" in command("--debug", "lstm-mnst", code=1).stderr


def test_storage_that_cant_be_written(command):
    (command.folder / "file").write_text("in the way")
    done = command("lstm-mnist", "--dataset", "digits", "--storage", "file", code=3)
    assert "file" in done.stderr
    assert "--storage" in done.stderr


def project(folder, name, text):
    (folder / "cluster.yaml").write_text("cluster_name: test\n")
    (folder / "jobs").mkdir()
    (folder / "jobs" / name).write_text(text)


def test_job_file_that_does_not_import(command):
    project(command.folder, "broken.py", "x = 1\nimport nothing_of_this_name\n")
    assert "(can't be loaded)" in command("--help").stdout
    done = command("broken", code=2)
    assert "broken.py does not import: line 2: ModuleNotFoundError" in " ".join(done.stderr.split())


def test_projects_job_goes_before_the_built_in(command):
    project(
        command.folder,
        "lstm_mnist.py",
        '"""Mine."""\nfrom orchestrator import job\n\n\n@job(dataset="digits")\n'
        "def lstm_mnist(speed: float = 2.5):\n    return None\n",
    )
    jobs = json.loads(command("jobs", "-o", "json").stdout)
    (mine,) = [job for job in jobs if job["name"] == "lstm-mnist"]
    assert (mine["summary"], mine["dataset"]) == ("Mine.", "digits")
    assert [p["name"] for p in mine["parameters"]] == ["speed"]


def test_dry_run_shows_the_plan_and_starts_nothing(command):
    args = ["lstm-mnist", "--dataset", "digits", "-w", "4", "--batch-size", "100", "--dry-run"]
    plan = json.loads(command(*args, "-o", "json").stdout)
    assert (plan["train_rows"], plan["test_rows"], plan["streams"]) == (1437, 360, 48)
    assert (plan["steps_per_epoch"], plan["total_steps"]) == (15, 75)
    assert plan["rows_per_worker_and_step"] == [25, 25, 25, 25]
    assert sum(plan["rows_per_worker_in_last_step"]) == 37
    assert not (command.folder / "runs-store").exists()
    assert "steps per epoch" in command(*args).stdout


def test_offline_fallback_is_announced(command):
    done = command("lstm-mnist", "--dry-run", "-o", "json")
    assert json.loads(done.stdout)["dataset"] == "digits"
    assert "trains on digits instead" in done.stderr


def test_strict_dataset_names_everything_tried(command):
    text = command("lstm-mnist", "--dataset", "mnist", code=3).stderr
    assert text.count("https://") == 2
    assert ".cache" in text


def test_empty_store(command):
    assert "There are no runs" in command("ls").stderr
    assert json.loads(command("ls", "-o", "json").stdout) == []
    assert json.loads(command("results", "-o", "json").stdout) == []


def test_table_in_a_pipe_is_plain(command):
    text = command("jobs", COLUMNS="40").stdout
    assert not set(text) & set("│┃─━…\x1b")
    assert "Reads each image as a sequence of rows." in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(command, shell):
    assert "_LAUNCH_JOB_COMPLETE" in command("completion", shell).stdout
