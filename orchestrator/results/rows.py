"""A report as rows of the results tables, and what their columns are.

What every report has alike is an Arrow type that a reader can filter and join on; what differs
from job to job is JSON. Columns are only ever added, so a row may lack the later ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from orchestrator.results.report import Report

if TYPE_CHECKING:
    import pyarrow as pa

#: Fields of a report that are written as JSON: their keys differ from job to job.
_AS_JSON = (
    *("params", "hardest_mistakes", "calibration", "history", "phases", "versions", "error"),
    "restarts",
)

_TIMES = ("started_at", "finished_at")


def schema(table: str) -> pa.Schema:
    """Return the columns of a table: `runs`, `reports` or `metrics`."""
    schemas: dict[str, Callable[[], pa.Schema]] = {
        "runs": _run_schema,
        "reports": _report_schema,
        "metrics": _metric_schema,
    }
    return schemas[table]()


def rows(
    table: str, report: Report, running: Sequence[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """Return the rows that a report has in a table; none in `reports` if it has no scores.

    Args:
        table: `runs`, `reports` or `metrics`.
        report: The report.
        running: Metrics between the ends of epochs: epoch, step and metrics.
    """
    names = schema(table).names
    if table == "metrics":
        return [_metric_row(report, entry, names) for entry in (*running, *report.history)]
    if table == "reports" and report.accuracy is None:
        return []
    values = report.to_dict()
    encoded = {key: json.dumps(values[key]) for key in _AS_JSON}
    times = {key: datetime.fromisoformat(values[key]) for key in _TIMES}
    found = {**values, **encoded, **times}
    return [{key: found[key] for key in names}]


def report_of_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of `reports` as the JSON values of a report."""
    return {key: _json_value(key, value) for key, value in row.items()}


def _json_value(key: str, value: Any) -> Any:
    if value is None:
        return None
    if key in _AS_JSON:
        return json.loads(value)
    return value.isoformat() if key in _TIMES else value


def _metric_row(report: Report, entry: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    others = {key: value for key, value in entry.items() if key not in names}
    values = {"run_id": report.run_id, "job": report.job, **entry, "others": json.dumps(others)}
    return {key: values.get(key) for key in names}


def _run_schema() -> pa.Schema:
    import pyarrow as pa

    time_ = pa.timestamp("us", tz="UTC")
    return pa.schema(
        [
            ("run_id", pa.string()),
            ("job", pa.string()),
            ("name", pa.string()),
            ("tags", pa.list_(pa.string())),
            ("dataset", pa.string()),
            ("dataset_fingerprint", pa.string()),
            ("workers", pa.int32()),
            ("epochs", pa.int32()),
            ("batch_size", pa.int32()),
            ("seed", pa.int64()),
            ("device", pa.string()),
            ("state", pa.string()),
            ("started_at", time_),
            ("finished_at", time_),
            ("wall_s", pa.float64()),
        ]
    )


def _report_schema() -> pa.Schema:
    import pyarrow as pa

    text, number = pa.string(), pa.float64()
    per_class = pa.struct(
        [
            ("class", text),
            ("precision", number),
            ("recall", number),
            ("f1", number),
            ("support", pa.int64()),
        ]
    )
    scores = [
        ("accuracy", number),
        ("loss", number),
        ("test_rows", pa.int64()),
        ("classes", pa.list_(text)),
        ("confusion_matrix", pa.list_(pa.list_(pa.int64()))),
        ("per_class", pa.list_(per_class)),
        ("calibration_error", number),
        ("steps", pa.int64()),
        ("train_rows", pa.int64()),
        ("train_rows_per_s", number),
        ("notes", pa.list_(text)),
    ]
    return pa.schema([*_run_schema(), *map(pa.field, *zip(*scores, strict=True)), *_json_fields()])


def _json_fields() -> list[pa.Field]:
    import pyarrow as pa

    return [pa.field(name, pa.string()) for name in _AS_JSON]


def _metric_schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [
            ("run_id", pa.string()),
            ("job", pa.string()),
            ("epoch", pa.int32()),
            ("loss", pa.float64()),
            ("accuracy", pa.float64()),
            ("seconds", pa.float64()),
            ("rows_per_s", pa.float64()),
            ("others", pa.string()),
            # Steps of the epoch that are done; null in the row of a whole epoch.
            ("step", pa.int64()),
        ]
    )
