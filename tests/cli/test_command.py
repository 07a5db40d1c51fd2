"""The command line as a user meets it: real processes, no Ray."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


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
    "verb", ["lstm-mnist", "submit", "ls", "report", "results", "jobs", "datasets", "completion"]
)
def test_every_verb_has_help_with_an_example(command, verb):
    assert f"launch-job {verb}" in command(verb, "--help").stdout.split("Example", 1)[1]


def test_help_of_a_job_shows_its_parameters(command):
    text = command("lstm-mnist", "--help").stdout
    assert "[tanh|relu]" in text
    assert "Units of the LSTM." in text
    assert "[default: 64; x>=1]" in " ".join(text.split())


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["lstm-mnst"], 2, "Did you mean 'lstm-mnist'?"),
        (["submit", "lstm-mnst"], 2, "Did you mean 'lstm-mnist'?"),
        (["lstm-mnist", "--activation", "sine"], 2, "'tanh', 'relu'"),
        (["lstm-mnist", "--units", "many"], 2, "--units"),
        (["lstm-mnist", "--units", "0"], 2, "0 is not in the range x>=1"),
        (["submit", "lstm-mnist", "--units", "0"], 2, "0 is not in the range x>=1"),
        (["cnn-mnist", "--dropout", "1"], 2, "1.0 is not in the range 0<=x<1"),
        (["lstm-sequence", "--learning-rate", "0"], 2, "0.0 is not in the range x>0"),
        (["custom-lstm-mnist", "--learning-rate", "nan"], 2, "is more than 0, not nan"),
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
        (["results", "--since", "99999999w"], 2, "is not a time"),
        (["ls", "--storage", ""], 2, "empty name"),
        (["ls", "--storage", "abfs://bucket/folder"], 2, "not supported"),
    ],
)
def test_bad_input_is_told_and_leaves_nothing(command, args, code, message):
    done = command(*args, code=code)
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (command.folder / "runs-store").exists()


def test_debug_shows_the_traceback(command):
    assert "Traceback" in command("--debug", "lstm-mnst", code=2).stderr


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


@pytest.mark.parametrize("name", ["tag", "workers", "dry_run", "help"])
def test_parameter_called_like_an_option_of_every_run(command, name):
    project(
        command.folder,
        "mine.py",
        f'from orchestrator import job\n\n\n@job(dataset="digits")\ndef mine({name}: int = 1):\n'
        "    return None\n",
    )
    assert f"parameter '{name}' is an option of every run" in command("mine", code=2).stderr


def test_dry_run_imports_no_ray_and_no_tensorflow(command):
    script = (
        "import sys\n"
        "from orchestrator.cli.main import run\n"
        "assert run(['lstm-mnist', '--dataset', 'digits', '--dry-run']) == 0\n"
        "print('heavy:', sorted({'ray', 'tensorflow', 'keras'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=command.folder,
        env=command.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.splitlines()[-1] == "heavy: []", done.stderr


@pytest.mark.parametrize("args", [["--help"], ["jobs", "-o", "json"]])
def test_reader_that_has_gone_is_no_failed_run(command, args):
    """As `launch-job jobs | true` does: 141 is what a shell reports of any other program."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator", *args],
            cwd=command.folder,
            env=command.environment,
            stdout=pipe,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("launch-job re", {"report", "reproduce", "results", "resume"}),
        ("launch-job lstm-mnist --activation ", {"tanh", "relu"}),
        ("launch-job report la", {"latest"}),
        ("launch-job lstm-mnist --uni", {"--units"}),
        ("launch-job no-such-job --uni", set()),
        ("launch-job broken --uni", set()),
    ],
)
def test_completion(command, words, found):
    project(command.folder, "broken.py", "1 / 0\n")
    # Fish tells the finished words and the one that is being typed.
    done = command(
        _LAUNCH_JOB_COMPLETE="fish_complete", COMP_WORDS=words, COMP_CWORD=words.split(" ")[-1]
    )
    candidates = {line.split("\t")[0].split(",")[-1] for line in done.stdout.splitlines()}
    assert candidates - {""} == found
    assert done.stderr == ""
