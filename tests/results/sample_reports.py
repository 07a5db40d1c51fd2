"""Reports that are like real ones."""

from orchestrator.results.report import Report
from orchestrator.states import RunState

SCORES = {
    "accuracy": 0.75,
    "loss": 0.5,
    "test_rows": 4,
    "classes": ("a", "b"),
    "confusion_matrix": ((2, 0), (1, 1)),
    "per_class": (
        {"class": "a", "precision": 2 / 3, "recall": 1.0, "f1": 0.8, "support": 2},
        {"class": "b", "precision": 1.0, "recall": 0.5, "f1": 2 / 3, "support": 2},
    ),
    "calibration_error": 0.1,
    "history": (
        {"epoch": 1, "loss": 1.0, "accuracy": 0.5, "seconds": 2.0, "rows_per_s": 5.0},
        {"epoch": 2, "loss": 0.5, "accuracy": 0.75, "seconds": 1.0, "rows_per_s": 10.0},
    ),
    "steps": 6,
    "train_rows": 10,
    "train_rows_per_s": 6.7,
}


def sample(run_id, *, job="lstm", day=1, failed=False):
    """Return the report of a run that succeeded, or failed before its evaluation."""
    return Report(
        run_id=run_id,
        job=job,
        params={"units": 8},
        name=None,
        tags=("nightly",),
        dataset="digits",
        dataset_fingerprint="f" * 64,
        workers=2,
        epochs=2,
        batch_size=4,
        seed=0,
        device="cpu",
        state=RunState.FAILED if failed else RunState.SUCCEEDED,
        started_at=f"2026-01-0{day}T00:00:00+00:00",
        finished_at=f"2026-01-0{day}T00:01:00+00:00",
        wall_s=60.0,
        error={"kind": "ValueError", "message": "no"} if failed else None,
        **({} if failed else SCORES),
    )
