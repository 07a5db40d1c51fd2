"""launch-job data: look at datasets, prepare them, list and remove what is prepared."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from orchestrator.cli.data import data
from orchestrator.driver_lock import DriverLock
from orchestrator.errors import UsageError
from orchestrator.storage.atomic import unfinished_folder, write_json
from orchestrator.storage.caches import shard_cache
from orchestrator.storage.storage import Storage

LINES = [
    "age,city,buys",
    *(f"{n},{'Ulm' if n % 2 else ''},{'yes' if n % 3 else 'no'}" for n in range(60)),
]


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LAUNCH_JOB_STORAGE", str(tmp_path / "store"))
    (tmp_path / "people.csv").write_text("\n".join(LINES) + "\n")

    def run(*args: str) -> str:
        result = CliRunner().invoke(data, args, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    return run


def test_inspect_tells_columns_classes_and_splits(run):
    told = json.loads(run("inspect", "people.csv", "--label", "buys", "-o", "json"))
    age, city = told["columns"]
    assert (age["name"], age["least"], age["most"], age["missing"]) == ("age", 0, 59, 0)
    assert (city["name"], city["missing"], city["words"]) == ("city", 30, 1)
    assert told["rows"] == {"train": 48, "test": 12}
    assert told["classes"] == {"train": {"no": 16, "yes": 32}, "test": {"no": 4, "yes": 8}}
    text = run("inspect", "people.csv", "--label", "buys")
    assert "48 train, 12 test rows; learns 'buys'" in text
    assert "text" in text


def test_what_is_prepared_is_listed_found_again_and_removed(run):
    first = json.loads(run("prepare", "people.csv", "--label", "buys", "-o", "json"))
    assert (first["rows"], first["cached"]) == ({"train": 48, "test": 12}, False)
    assert "were there already" in run("prepare", "people.csv", "--label", "buys")
    run("prepare", "digits", "--streams", "2")
    listed = json.loads(run("ls", "-o", "json"))
    assert [(p["name"], p["state"], p["streams"]) for p in listed] == [
        ("digits", "ready", 2),
        ("people.csv", "ready", 48),
    ]
    assert first["fingerprint"].startswith(listed[1]["fingerprint"])
    run("rm", listed[1]["fingerprint"][:6])
    assert [p["name"] for p in json.loads(run("ls", "-o", "json"))] == ["digits"]
    copies = shard_cache("digits", json.loads(run("ls", "-o", "json"))[0]["fingerprint"])
    (copies / "train").mkdir(parents=True)
    run("rm", "digits")
    assert json.loads(run("ls", "-o", "json")) == []
    assert not copies.exists()


def test_the_form_that_a_job_takes(run, tmp_path):
    rows = "\n".join(",".join(["1"] * 784 + [str(n % 2)]) for n in range(20))
    (tmp_path / "pixels.csv").write_text(
        ",".join([*(f"p{i}" for i in range(784)), "label"]) + "\n" + rows
    )
    told = json.loads(run("inspect", "pixels.csv", "--job", "lstm-mnist", "-o", "json"))
    (column,) = told["columns"]
    assert (column["dtype"], column["shape"]) == ("uint8", [28, 28])


def test_what_a_run_reads_is_not_removed(run, tmp_path):
    made = json.loads(run("prepare", "digits", "--streams", "2", "-o", "json"))
    folder = Storage.at(str(tmp_path / "store")).run("20261124-000000-a-run")
    write_json(folder.spec, {"dataset_fingerprint": made["fingerprint"]})
    with DriverLock(folder), pytest.raises(UsageError, match="is being read by run 2026"):
        run("rm", "digits")
    run("rm", "digits")


def test_what_is_being_prepared_is_not_removed(run, tmp_path):
    folder = tmp_path / "store" / "datasets" / "digits" / "0123456789abcdef"
    with unfinished_folder(folder), pytest.raises(UsageError, match="is being prepared"):
        run("rm", "digits")


def test_a_damaged_or_unfinished_dataset_is_listed_as_such_and_can_be_removed(run, tmp_path):
    made = json.loads(run("prepare", "digits", "--streams", "2", "-o", "json"))
    store = tmp_path / "store" / "datasets" / "digits"
    (store / ".0123456789abcdef.unfinished").mkdir()
    (store / made["fingerprint"][:16] / "manifest.json").write_text("{}")
    states = {p["fingerprint"]: p["state"] for p in json.loads(run("ls", "-o", "json"))}
    assert states == {made["fingerprint"][:16]: "damaged", "0123456789abcdef": "unfinished"}
    run("rm", "digits")
    assert not store.exists()


def test_a_dataset_that_is_not_there_is_named(run):
    with pytest.raises(UsageError, match="no prepared dataset 'nothing'"):
        run("rm", "nothing")
