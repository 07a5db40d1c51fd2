"""The report of a run: everything that came out, in one flat record."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.records.tally import CALIBRATION_BINS, Tally
from orchestrator.results import evaluation
from orchestrator.spec import RunSpec
from orchestrator.states import RunState
from orchestrator.storage.atomic import read_json, write_json
from orchestrator.storage.run_folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a run was, how it ended and what it achieved; `report.json` holds just this.

    A run that ended before its evaluation has no scores: they are None or empty.
    """

    #: Identifier of the run.
    run_id: str
    #: Name of the job.
    job: str
    #: Parameters of the job.
    params: Mapping[str, Any]
    #: Name given by the user.
    name: str | None
    #: Labels given by the user.
    tags: tuple[str, ...]
    #: Dataset that it was trained on.
    dataset: str
    #: Fingerprint of the prepared dataset.
    dataset_fingerprint: str
    #: Workers.
    workers: int
    #: Passes over the training rows.
    epochs: int
    #: Rows of a global batch.
    batch_size: int
    #: Seed.
    seed: int
    #: What it was computed on.
    device: str
    #: How it ended.
    state: RunState
    #: Part of the test rows that were classified rightly.
    accuracy: float | None = None
    #: Mean loss of a test row.
    loss: float | None = None
    #: Test rows counted.
    test_rows: int = 0
    #: Names of the classes.
    classes: tuple[str, ...] = ()
    #: `[label][predicted]`: test rows.
    confusion_matrix: tuple[tuple[int, ...], ...] = ()
    #: Scores of each class: class, precision, recall, f1, support.
    per_class: tuple[Mapping[str, Any], ...] = ()
    #: Expected calibration error.
    calibration_error: float | None = None
    #: Bins of confidence: low, high, rows, confidence and accuracy (means).
    calibration: tuple[Mapping[str, Any], ...] = ()
    #: The mistakes with the largest loss.
    hardest_mistakes: tuple[Mapping[str, Any], ...] = ()
    #: Metrics of each epoch.
    history: tuple[Mapping[str, Any], ...] = ()
    #: Steps that the optimizer took.
    steps: int = 0
    #: Rows of the training split.
    train_rows: int = 0
    #: Training rows a second, over all epochs; 0 if none was trained.
    train_rows_per_s: float = 0.0
    #: Seconds of each phase.
    phases: Mapping[str, float] = field(default_factory=dict)
    #: The phases up to the report, as they began: phase, after_s (since the command), seconds.
    timeline: tuple[Mapping[str, Any], ...] = ()
    #: When the run was asked for (ISO 8601, UTC).
    started_at: str = ""
    #: When it ended.
    finished_at: str = ""
    #: Seconds between the two.
    wall_s: float = 0.0
    #: Versions of Python and of packages.
    versions: Mapping[str, str] = field(default_factory=dict)
    #: Announced departures from what was asked.
    notes: tuple[str, ...] = ()
    #: Each time that training started again: time, event, cause, message, workers, checkpoint.
    restarts: tuple[Mapping[str, Any], ...] = ()
    #: Why it did not succeed: kind, cause, message, hint, rank, host, lines.
    error: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**vars(self), "state": self.state.value}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, where: str) -> Report:
        """Build it from what `to_dict` returned.

        Keys it does not know are left out: a later version may have written them.

        Raises:
            UsageError: A key is missing.
        """
        known = {f.name for f in dataclasses.fields(cls)}
        kept = {key: _frozen(value) for key, value in values.items() if key in known}
        try:
            return cls(**{**kept, "state": RunState(values["state"])})
        except (TypeError, KeyError, ValueError) as err:
            raise UsageError(f"{where} is not a report: {err}.") from err

    @classmethod
    def read(cls, run: RunFolder) -> Report:
        """Read a run's report.

        Raises:
            UsageError: The run has none yet.
        """
        if not run.report.is_file():
            raise UsageError(
                f"Run {run.run_id} has no report yet.", hint="`launch-job ls` shows how far it is."
            )
        return cls.from_dict(read_json(run.report), where=str(run.report))

    def write(self, run: RunFolder) -> None:
        """Write it to the run's folder, atomically."""
        write_json(run.report, self.to_dict())


def request_fields(spec: RunSpec) -> dict[str, Any]:
    """Return the fields of a report that say what was asked for."""
    same = ("run_id", "job", "name", "dataset", "workers", "epochs", "batch_size", "seed")
    return {
        **{key: getattr(spec, key) for key in same},
        "params": dict(spec.params),
        "tags": spec.tags,
        "notes": spec.notes,
    }


def score_fields(tally: Tally, classes: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields of a report that say how well the test rows were classified."""
    scores = (asdict(score) for score in evaluation.class_scores(tally, classes))
    return {
        "accuracy": evaluation.accuracy(tally),
        "loss": evaluation.loss(tally),
        "test_rows": tally.rows,
        "classes": classes,
        "confusion_matrix": tally.confusion,
        "per_class": tuple({"class": score.pop("name"), **score} for score in scores),
        "calibration_error": evaluation.calibration_error(tally),
        "calibration": tuple(_bins(tally)),
        "hardest_mistakes": tuple(
            {**asdict(m), "label": classes[m.label], "predicted": classes[m.predicted]}
            for m in tally.hardest
        ),
    }


def _bins(tally: Tally) -> list[dict[str, Any]]:
    return [
        {
            "low": i / CALIBRATION_BINS,
            "high": (i + 1) / CALIBRATION_BINS,
            "rows": rows,
            "confidence": confidence / rows if rows else None,
            "accuracy": correct / rows if rows else None,
        }
        for i, (rows, confidence, correct) in enumerate(
            zip(tally.bin_rows, tally.bin_confidence, tally.bin_correct, strict=True)
        )
    ]


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
