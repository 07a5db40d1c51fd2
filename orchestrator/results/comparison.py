"""Runs side by side: what was asked differently, what came out, and whether that is chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator.errors import LaunchJobError, UsageError
from orchestrator.records.predictions import Predictions
from orchestrator.results.chance import (
    Interval,
    PairTest,
    accuracy_interval,
    corrected,
    pair_test,
)
from orchestrator.results.report import Report
from orchestrator.results.rows import report_of_row
from orchestrator.results.tables import ResultsStore
from orchestrator.storage.atomic import read_json
from orchestrator.storage.run_folder import RunFolder
from orchestrator.storage.storage import Storage

#: What a request says besides a job's parameters.
_OPTIONS = ("job", "dataset", "workers", "epochs", "batch_size", "seed", "device")

#: Figures of a report that are compared: name, and whether more is better (None: neither is).
METRICS: Mapping[str, bool | None] = {
    "accuracy": True,
    "loss": False,
    "calibration_error": False,
    "train_rows_per_s": True,
    "wall_s": False,
    "steps": None,
}


@dataclass(frozen=True, kw_only=True)
class Line:
    """One thing that is said of every run, in their order."""

    #: What it is.
    name: str
    #: Its value in each run; None where a run has none.
    values: tuple[Any, ...]

    @property
    def differences(self) -> tuple[float | None, ...]:
        """Each value less the first; None where one of the two is missing."""
        first = self.values[0]
        return tuple(None if None in (v, first) else v - first for v in self.values)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two runs or more; each one is held against the first."""

    #: What came out of each.
    reports: tuple[Report, ...]
    #: Parameters, options, versions and code that are not the same in all.
    differing: tuple[Line, ...]
    #: Scores, speed and time.
    metrics: tuple[Line, ...]
    #: F1 of each class that all have; empty if their classes differ.
    classes: tuple[Line, ...]
    #: Accuracy of each, with its interval; None for one that was not evaluated.
    accuracies: tuple[Interval | None, ...]
    #: For each run but the first: the test of the pair, or why none can be made.
    tests: tuple[PairTest | str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        lines = {
            name: [{"name": line.name, "values": list(line.values)} for line in getattr(self, name)]
            for name in ("differing", "metrics", "classes")
        }
        return {
            "runs": [report.run_id for report in self.reports],
            **lines,
            "accuracies": [asdict(a) if a else None for a in self.accuracies],
            "tests": [
                {"run": report.run_id, **_test_values(test)}
                for report, test in zip(self.reports[1:], self.tests, strict=True)
            ],
        }


def compare(runs: Sequence[RunFolder]) -> Comparison:
    """Hold runs against the first of them.

    Raises:
        UsageError: There are fewer than two, one is named twice, or one has no report yet.
        UnavailableError: A file can't be read.
    """
    return _compare([Report.read(run) for run in runs], runs)


def compare_best(
    storage: Storage, *, best: str, job: str | None, dataset: str | None, number: int
) -> Comparison:
    """Hold the best runs against the best of them.

    Args:
        storage: Where they are.
        best: Column of `reports` that says which are the best.
        job: Only of this job.
        dataset: Only on this dataset.
        number: How many.

    Raises:
        UsageError: There are fewer than two, or there is no such column.
        UnavailableError: The table can't be read.
    """
    if METRICS.get(best) is None:
        names = [name for name, better in METRICS.items() if better is not None]
        raise UsageError(f"There is no best {best!r}.", hint=f"Name one of {', '.join(names)}.")
    store = ResultsStore(storage=storage)
    found = store.reports(job=job, dataset=dataset, best=best, limit=number, columns=["run_id"])
    reports = [_report(store, run_id) for run_id in found["run_id"].to_pylist()]
    if len(reports) < 2:
        of = "".join(
            f" of {kind} {name}" for kind, name in (("job", job), ("dataset", dataset)) if name
        )
        raise UsageError(
            f"There {'is one report' if reports else 'are no reports'}{of} in {storage}; "
            "a comparison needs two.",
            hint="`launch-job results` lists them.",
        )
    return _compare(reports, [storage.run(report.run_id) for report in reports])


def _report(store: ResultsStore, run_id: str) -> Report:
    """Return a run's report, also if its folder is gone."""
    run = store.storage.run(run_id)
    if run.report.is_file():
        return Report.read(run)
    (row,) = store.reports(run_id=run_id).to_pylist()
    return Report.from_dict(report_of_row(row), where=str(store.storage.results / "reports"))


def _compare(reports: Sequence[Report], runs: Sequence[RunFolder]) -> Comparison:
    names = [report.run_id for report in reports]
    if len(names) < 2:
        raise UsageError("A comparison needs two runs.", hint="launch-job compare RUN RUN")
    if len(set(names)) < len(names):
        raise UsageError("The same run is named twice.")
    first, *others = zip(reports, runs, strict=True)
    tests = [_test(first, other) for other in others]
    made = iter(corrected([test for test in tests if isinstance(test, PairTest)]))
    return Comparison(
        reports=tuple(reports),
        differing=_differing(reports, runs),
        metrics=tuple(
            Line(name=name, values=tuple(getattr(report, name) for report in reports))
            for name in METRICS
        ),
        classes=_class_lines(reports),
        accuracies=tuple(_accuracy(report) for report in reports),
        tests=tuple(next(made) if isinstance(test, PairTest) else test for test in tests),
    )


def _test(first: tuple[Report, RunFolder], second: tuple[Report, RunFolder]) -> PairTest | str:
    """Return the test of a pair, or why none can be made."""
    for report, run in (first, second):
        if report.accuracy is None:
            return f"{report.run_id} was not evaluated"
        if not run.predictions.is_file():
            return f"what {report.run_id} said of each row is not in its folder"
    if first[0].classes != second[0].classes:
        return "their classes are not the same"
    try:
        one, other = (Predictions.read(run.predictions) for _, run in (first, second))
    except LaunchJobError as err:
        return err.message
    if one.same_rows(other) and first[0].dataset == second[0].dataset:
        return pair_test(one, other)
    return "they were tested on different rows, so no row can be held against another"


def _accuracy(report: Report) -> Interval | None:
    if report.accuracy is None or not report.test_rows:
        return None
    matrix = report.confusion_matrix
    return accuracy_interval(sum(matrix[i][i] for i in range(len(matrix))), report.test_rows)


def _differing(reports: Sequence[Report], runs: Sequence[RunFolder]) -> tuple[Line, ...]:
    """Return what is not the same in all runs: parameters first."""
    said = [
        {
            **report.params,
            **{name: getattr(report, name) for name in _OPTIONS},
            "data": report.dataset_fingerprint[:12] or None,
            **_code(run),
            **report.versions,
        }
        for report, run in zip(reports, runs, strict=True)
    ]
    names = dict.fromkeys(name for values in said for name in values)
    lines = (Line(name=name, values=tuple(v.get(name) for v in said)) for name in names)
    return tuple(line for line in lines if len(set(line.values)) > 1)


def _code(run: RunFolder) -> dict[str, Any]:
    if not run.spec.is_file():
        return {}
    known = read_json(run.spec).get("provenance", {})
    digest, commit = known.get("code_digest"), known.get("git_commit")
    return {"job's file": digest and digest[:12], "git commit": commit and commit[:12]}


def _class_lines(reports: Sequence[Report]) -> tuple[Line, ...]:
    if len({report.classes for report in reports}) > 1:
        return ()
    return tuple(
        Line(name=str(scores[0]["class"]), values=tuple(score["f1"] for score in scores))
        for scores in zip(*(report.per_class for report in reports), strict=True)
    )


def _test_values(test: PairTest | str) -> dict[str, Any]:
    return {"impossible": test} if isinstance(test, str) else test.to_dict()
