"""The results store: Delta tables that any tool can read, without a server.

`runs` and `reports` have one row a run, `metrics` one a run and epoch. A run may be recorded any
number of times, by drivers that were retried and by several at once: MERGE inserts what is not
there yet, and replaces the row of a run that failed and has since been resumed. Delta refuses the
slower of two writers that touch the same rows, and it then tries again on what it finds.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import UnavailableError
from orchestrator.results.report import Report
from orchestrator.storage import Storage

if TYPE_CHECKING:
    import pyarrow as pa

#: Attempts of one write before it is given up; each waits a random time, longer every time.
_ATTEMPTS = 40

#: Fields of a report that are written as JSON: their keys differ from job to job.
_AS_JSON = ("params", "hardest_mistakes", "calibration", "history", "phases", "versions", "error")


@dataclass(frozen=True, kw_only=True)
class ResultsStore:
    """The tables of one storage."""

    #: The storage.
    storage: Storage

    def record(self, report: Report) -> None:
        """Write a run into all tables, once, however often it is recorded.

        Raises:
            UnavailableError: The storage can't be written.
        """
        values = report.to_dict()
        self._merge("runs", [_run_row(values)], _run_schema(), ("run_id",))
        if report.accuracy is not None:
            self._merge("reports", [_report_row(values)], _report_schema(), ("run_id",))
        metrics = [_metric_row(report, epoch) for epoch in report.history]
        if metrics:
            self._merge("metrics", metrics, _metric_schema(), ("run_id", "epoch"))

    def reports(
        self,
        *,
        job: str | None = None,
        dataset: str | None = None,
        since: datetime | None = None,
        limit: int | None = None,
    ) -> pa.Table:
        """Return the reports that match, newest first.

        Args:
            job: Only of this job.
            dataset: Only on this dataset.
            since: Only of runs asked for at this time or later.
            limit: At most so many.
        """
        import pyarrow.compute as pc

        table = self.table("reports")
        for column, wanted in (("job", job), ("dataset", dataset)):
            if wanted is not None:
                table = table.filter(pc.field(column) == wanted)
        if since is not None:
            table = table.filter(pc.field("started_at") >= since)
        return table.sort_by([("started_at", "descending")]).slice(0, limit)

    def table(self, name: str) -> pa.Table:
        """Return a whole table: `runs`, `reports` or `metrics`; empty if nothing is recorded."""
        from deltalake import DeltaTable

        schema = {"runs": _run_schema, "reports": _report_schema, "metrics": _metric_schema}[name]()
        if not DeltaTable.is_deltatable(str(self._path(name))):
            return schema.empty_table()
        return DeltaTable(str(self._path(name))).to_pyarrow_table()

    def _path(self, name: str) -> Path:
        return self.storage.results / name

    def _merge(
        self, name: str, rows: Sequence[Mapping[str, Any]], schema: pa.Schema, key: tuple[str, ...]
    ) -> None:
        import pyarrow as pa
        from deltalake.exceptions import CommitFailedError, DeltaError

        table = pa.Table.from_pylist(list(rows), schema=schema)
        for attempt in range(_ATTEMPTS):
            try:
                self._merge_once(name, table, key)
                return
            except CommitFailedError:
                time.sleep(random.uniform(0, min(2.0, 0.02 * 2**attempt)))
            except (DeltaError, OSError) as err:
                raise UnavailableError(
                    f"Can't write the results table {self._path(name)}: {err}"
                ) from err
        raise UnavailableError(
            f"The results table {self._path(name)} is too busy: {_ATTEMPTS} writes were refused.",
            hint="Record the run again with `launch-job resume`.",
        )

    def _merge_once(self, name: str, table: pa.Table, key: tuple[str, ...]) -> None:
        from deltalake import CommitProperties, DeltaTable

        path = self._path(name)
        path.mkdir(parents=True, exist_ok=True)
        target = DeltaTable.create(str(path), schema=table.schema, mode="ignore")
        (
            target.merge(
                table,
                predicate=" AND ".join(f"t.{column} = s.{column}" for column in key),
                source_alias="s",
                target_alias="t",
                merge_schema=True,
                # This loop retries; a retry inside Delta would not look for the row again.
                commit_properties=CommitProperties(max_commit_retries=0),
            )
            .when_matched_update_all()
            .when_not_matched_insert_all()
            .execute()
        )


def report_of_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of `reports` as the JSON values of a report."""
    values = {key: json.loads(row[key]) if key in _AS_JSON else row[key] for key in row}
    for key in ("started_at", "finished_at"):
        values[key] = row[key].isoformat()
    return values


def _run_row(report: Mapping[str, Any]) -> dict[str, Any]:
    return _pick(report, _run_schema())


def _report_row(report: Mapping[str, Any]) -> dict[str, Any]:
    encoded = {key: json.dumps(report[key]) for key in _AS_JSON}
    return _pick({**report, **encoded}, _report_schema())


def _metric_row(report: Report, epoch: Mapping[str, Any]) -> dict[str, Any]:
    known = _metric_schema().names
    others = {key: value for key, value in epoch.items() if key not in known}
    values = {"run_id": report.run_id, "job": report.job, **epoch, "others": json.dumps(others)}
    return {key: values.get(key) for key in known}


def _pick(values: Mapping[str, Any], schema: pa.Schema) -> dict[str, Any]:
    times = {key: datetime.fromisoformat(values[key]) for key in ("started_at", "finished_at")}
    return {name: times.get(name, values[name]) for name in schema.names}


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
        ]
    )
