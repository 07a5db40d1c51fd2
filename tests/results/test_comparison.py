"""Runs side by side: what differs, what is tested, and what can't be."""

import dataclasses

import numpy as np
import pytest
from sample_reports import sample

from orchestrator.errors import UsageError
from orchestrator.records.predictions import Predictions
from orchestrator.results.comparison import compare, compare_best
from orchestrator.results.tables import ResultsStore
from orchestrator.storage.atomic import write_json
from orchestrator.storage.storage import Storage


@pytest.fixture
def storage(tmp_path):
    return Storage(path=tmp_path)


def add(storage, run_id, *, said=(0, 0, 0, 1), rows=(0, 1, 2, 3), recorded=False, **changes):
    """Write a run that was tested on four rows, of the classes a a b b."""
    report = dataclasses.replace(sample(run_id), **changes)
    run = storage.run(run_id)
    report.write(run)
    write_json(run.spec, {"provenance": {"code_digest": "c" * 64, "git_commit": "1"}})
    Predictions(
        row=np.asarray(rows),
        label=np.asarray([0, 0, 1, 1], np.int32),
        predicted=np.asarray(said, np.int32),
    ).write(run.predictions)
    if recorded:
        ResultsStore(storage=storage).record(report)
    return run


def test_what_differs_is_said_and_the_rows_are_tested(storage):
    found = compare(
        [
            add(storage, "one", params={"units": 8, "old": 1}),
            add(storage, "two", params={"units": 16}, said=(0, 0, 1, 1), seed=3),
        ]
    )
    assert {line.name: line.values for line in found.differing} == {
        "units": (8, 16),
        "old": (1, None),
        "seed": (0, 3),
    }
    (test,) = found.tests
    assert (test.only_first, test.only_second, test.rows) == (0, 1, 4)
    assert [line.name for line in found.classes] == ["a", "b"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"rows": (0, 1, 2, 4)}, "different rows"),
        ({"dataset": "other"}, "different rows"),
        ({"classes": ("a", "c")}, "classes are not the same"),
        ({"accuracy": None}, "two was not evaluated"),
    ],
)
def test_where_no_test_can_be_made_it_is_said_why(storage, changes, why):
    runs = [add(storage, "one"), add(storage, "two", **changes)]
    (test,) = compare(runs).tests
    assert why in test


def test_predictions_that_are_gone_or_damaged_leave_the_rest_to_compare(storage):
    runs = [add(storage, name) for name in ("one", "two", "three")]
    runs[1].predictions.unlink()
    runs[2].predictions.write_bytes(b"damaged")
    gone, damaged = compare(runs).tests
    assert "what two said of each row is not in its folder" in gone
    assert "is damaged" in damaged


def test_several_runs_are_held_against_the_first_with_a_correction(storage):
    wrong, right = (1, 1, 0, 0), (0, 0, 1, 1)
    runs = [add(storage, "one", said=wrong)]
    runs += [add(storage, name, said=right) for name in ("two", "three")]
    assert [test.p_value for test in compare(runs).tests] == [0.25, 0.25]  # 0.125, twice


def test_best_runs_are_found_also_where_the_folder_is_gone(storage):
    for run_id, accuracy in (("low", 0.1), ("best", 0.9), ("good", 0.8)):
        add(storage, run_id, accuracy=accuracy, recorded=True)
    storage.run("good").report.unlink()
    storage.run("good").spec.unlink()
    storage.run("good").predictions.unlink()
    found = compare_best(storage, best="accuracy", job="lstm", dataset=None, number=2)
    assert [report.run_id for report in found.reports] == ["best", "good"]
    assert "not in its folder" in found.tests[0]


def test_least_loss_is_best(storage):
    for run_id, loss in (("one", 0.3), ("two", 0.1), ("three", 0.2)):
        add(storage, run_id, loss=loss, recorded=True)
    found = compare_best(storage, best="loss", job=None, dataset="digits", number=3)
    assert [report.run_id for report in found.reports] == ["two", "three", "one"]


def test_one_run_is_no_comparison(storage):
    with pytest.raises(UsageError, match="needs two runs"):
        compare([add(storage, "one")])
