"""The report: what a tally means, and what a file holds."""

import numpy as np
import pytest
from sample_reports import sample
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from orchestrator.errors import UsageError
from orchestrator.records.tally import Tally
from orchestrator.results.evaluation import accuracy, calibration_error, class_scores
from orchestrator.results.report import Report, score_fields
from orchestrator.storage.run_folder import RunFolder
from orchestrator.training.evaluation import count

CLASSES = tuple("abcd")


@pytest.fixture
def predictions():
    """Probabilities and labels of 200 rows; class d is never the right one."""
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.ones(4), 200)
    return probabilities, random.integers(0, 3, 200)


@pytest.fixture
def tally(predictions):
    probabilities, labels = predictions
    losses = -np.log(probabilities[np.arange(200), labels])
    return count(probabilities, losses, labels, np.arange(200), 4)


def test_class_scores_are_scikit_learns(predictions, tally):
    probabilities, labels = predictions
    theirs = precision_recall_fscore_support(
        labels, probabilities.argmax(axis=1), labels=range(4), zero_division=0
    )
    mine = class_scores(tally, CLASSES)
    np.testing.assert_allclose([s.precision for s in mine], theirs[0])
    np.testing.assert_allclose([s.recall for s in mine], theirs[1])
    np.testing.assert_allclose([s.f1 for s in mine], theirs[2])
    assert [s.support for s in mine] == theirs[3].tolist()


def test_confusion_matrix_is_scikit_learns(predictions, tally):
    probabilities, labels = predictions
    theirs = confusion_matrix(labels, probabilities.argmax(axis=1), labels=range(4))
    assert score_fields(tally, CLASSES)["confusion_matrix"] == tuple(map(tuple, theirs.tolist()))


def test_scores_of_no_rows_are_zero():
    scores = score_fields(Tally.empty(2), ("a", "b"))
    assert (scores["accuracy"], scores["loss"], scores["calibration_error"]) == (0.0, 0.0, 0.0)
    assert [c["f1"] for c in scores["per_class"]] == [0.0, 0.0]


def test_accuracy_and_calibration(predictions, tally):
    probabilities, labels = predictions
    right = probabilities.argmax(axis=1) == labels
    assert accuracy(tally) == right.mean()
    confidence = probabilities.max(axis=1)
    bins = np.minimum((confidence * 15).astype(int), 14)
    gaps = [abs(confidence[bins == b].sum() - right[bins == b].sum()) for b in range(15)]
    assert calibration_error(tally) == pytest.approx(sum(gaps) / 200)


def test_hardest_mistakes_are_the_largest_losses(predictions, tally):
    probabilities, labels = predictions
    losses = -np.log(probabilities[np.arange(200), labels])
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    wanted = wrong[np.argsort(-losses[wrong])][:25]
    mistakes = score_fields(tally, CLASSES)["hardest_mistakes"]
    assert [m["row"] for m in mistakes] == wanted.tolist()
    assert mistakes[0]["label"] == CLASSES[labels[wanted[0]]]


@pytest.mark.parametrize("failed", [False, True])
def test_report_is_read_back(tmp_path, failed):
    run = RunFolder(path=tmp_path / "run")
    report = sample("run", failed=failed)
    report.write(run)
    assert Report.read(run) == report


def test_run_without_a_report(tmp_path):
    with pytest.raises(UsageError, match="no report yet"):
        Report.read(RunFolder(path=tmp_path / "run"))


def test_keys_of_a_later_version_are_passed_over():
    report = sample("run")
    values = {**report.to_dict(), "from_the_future": 1}
    assert Report.from_dict(values, where="here") == report
