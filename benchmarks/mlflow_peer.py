"""MLflow as a peer: in an environment of its own, since it pins what launch-job needs newer."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from harness import PEERS, ROOT, run_text

from orchestrator.results.report import Report

#: What MLflow needs to keep runs in SQLite, and nothing more.
PACKAGES = ("mlflow-skinny>=3.4", "sqlalchemy>=2", "alembic", "pandas")

ENVIRONMENT = ROOT / ".venv-mlflow"


def mlflow(*args: str | Path) -> Any:
    """Run the peer's script and return the JSON that it printed; None if it printed none."""
    text = run_text([_python(), PEERS / "mlflow_store.py", *args])
    return json.loads(text.splitlines()[-1]) if text.strip() else None


def write_runs(path: Path, runs: Iterable[tuple[Report, list[dict[str, Any]]]]) -> None:
    """Write runs to a file, as the peer's script reads them."""
    with path.open("w") as file:
        for report, running in runs:
            file.write(json.dumps(run_values(report, running)) + "\n")


def run_values(report: Report, running: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what MLflow is given of a run: all that launch-job's tables hold of it."""
    entries = [*running, *report.history]
    keys = ("loss", "accuracy")
    scores = ("accuracy", "loss", "calibration_error", "train_rows_per_s", "wall_s")
    fields = ("dataset", "dataset_fingerprint", "workers", "epochs", "batch_size", "device")
    return {
        "run_id": report.run_id,
        "job": report.job,
        "start": _milliseconds(report.started_at),
        "end": _milliseconds(report.finished_at),
        "params": {k: str(v) for k, v in report.params.items()}
        | {k: str(getattr(report, k)) for k in fields},
        "tags": {"tag": ",".join(report.tags), **report.versions},
        "metrics": [(key, e[key], step) for step, e in enumerate(entries) for key in keys]
        + [(f"test_{name}", getattr(report, name), 0) for name in scores],
        "report": report.to_dict(),
    }


def _milliseconds(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp() * 1000)


def _python() -> Path:
    """Return the interpreter of MLflow's environment, which is made if it isn't there."""
    python = ENVIRONMENT / "bin" / "python"
    if not (ENVIRONMENT / ".installed").is_file():
        print("installing MLflow for comparison ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        (ENVIRONMENT / ".installed").touch()
    return python
