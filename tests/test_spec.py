"""RunSpec: a request that comes back as it was, and says what can't be."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.errors import UsageError
from orchestrator.spec import RunSpec, new_run_id
from orchestrator.storage.storage import check_name


def spec(**changes):
    values = {
        "run_id": "20260101-000000-job-abc",
        "job": "job",
        "params": {"units": 8},
        "dataset": "digits",
        "workers": 2,
        "epochs": 1,
        "batch_size": 16,
        "tags": ("a", "b"),
    }
    return RunSpec(**{**values, **changes})


def test_spec_comes_back_from_json():
    text = json.dumps(spec().to_dict())
    assert RunSpec.from_dict(json.loads(text), where="spec.json") == spec()


def test_unknown_key_is_named_with_its_file():
    with pytest.raises(UsageError, match=r"spec\.json: unknown key 'colour'"):
        RunSpec.from_dict({**spec().to_dict(), "colour": "red"}, where="spec.json")


def test_missing_key_is_named_with_its_file():
    values = spec().to_dict()
    del values["dataset"]
    with pytest.raises(UsageError, match=r"spec\.json: key 'dataset' is missing"):
        RunSpec.from_dict(values, where="spec.json")


@pytest.mark.parametrize(
    "wrong",
    [
        {"workers": 0},
        {"workers": -1},
        {"workers": "two"},
        {"workers": True},
        {"min_workers": 0},
        {"min_workers": 3},
        {"retries": -1},
        {"checkpoint_every": 0},
        {"keep": 0},
        {"wait_s": -1.0},
        {"wait_s": float("nan")},
        {"workers": 1.5},
        {"epochs": 0},
        {"batch_size": -1},
        {"streams": 0},
        {"seed": -1},
        {"device": "tpu"},
        {"run_id": "../x"},
    ],
)
def test_impossible_values(wrong):
    with pytest.raises(UsageError):
        spec(**wrong)
    with pytest.raises(UsageError, match=r"^spec\.json: "):
        RunSpec.from_dict({**spec().to_dict(), **wrong}, where="spec.json")


def test_run_ids_sort_by_time():
    start = datetime(2026, 1, 31, 23, 59, 58, tzinfo=UTC)
    jobs = ("z", "lstm-mnist", "a", "m")
    ids = [new_run_id(job, start + timedelta(seconds=i)) for i, job in enumerate(jobs)]
    assert sorted(ids) == ids


def test_run_ids_of_one_moment_differ():
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert len({new_run_id("lstm-mnist", now) for _ in range(100)}) == 100


@pytest.mark.parametrize("job", ["a", "Ünïcode job", "../../etc", "x" * 300])
def test_run_ids_are_safe_as_folder_names(job):
    check_name(new_run_id(job, datetime(2026, 1, 1, tzinfo=UTC)), what="run")
