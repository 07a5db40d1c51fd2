"""launch-job: exact, fault-proof training of Keras models on Ray."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.catalog import DatasetInfo, Training, dataset, job

if TYPE_CHECKING:
    from orchestrator.launching.launcher import launch
    from orchestrator.results.report import Report
    from orchestrator.results.tables import open_results
    from orchestrator.training.saved import load_model

__all__ = [
    "DatasetInfo",
    "Report",
    "Training",
    "dataset",
    "job",
    "launch",
    "load_model",
    "open_results",
]


def __getattr__(name: str) -> Any:
    # Content files import this package for its decorators; the engine comes in only when used.
    if name == "launch":
        from orchestrator.launching.launcher import launch

        return launch
    if name == "load_model":
        from orchestrator.training.saved import load_model

        return load_model
    if name == "open_results":
        from orchestrator.results.tables import open_results

        return open_results
    if name == "Report":
        from orchestrator.results.report import Report

        return Report
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
