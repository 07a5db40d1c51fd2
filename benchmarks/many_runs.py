"""Runs as they pile up over years, made by the thousand: reports, metrics and folders.

What a run holds follows from its number, so that launch-job's store and a peer's hold the same.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from orchestrator.records.predictions import Predictions
from orchestrator.records.tally import CALIBRATION_BINS, Mistake, Tally
from orchestrator.results.delta import RunTable
from orchestrator.results.report import Report, score_fields
from orchestrator.results.rows import rows
from orchestrator.results.tables import TABLES, ResultsStore
from orchestrator.spec import RunSpec
from orchestrator.states import RunState
from orchestrator.storage.storage import Storage

JOBS = ("lstm-mnist", "cnn-mnist", "mlp-table", "lstm-sequence")
EPOCHS, LINES = 5, 29
CLASSES = tuple("0123456789")
BEGAN = datetime(2024, 1, 1, tzinfo=UTC)

#: Runs that go into the tables at a time; in the end, files are made few as after any write.
CHUNK = 50


def make_store(storage: Storage, runs: int) -> None:
    """Fill the results tables with runs, and write the folders of those that may be compared."""
    import pyarrow as pa
    from deltalake import write_deltalake

    store = ResultsStore(storage=storage)
    for first in range(0, runs, CHUNK):
        made = [run(number) for number in range(first, min(first + CHUNK, runs))]
        for name in TABLES:
            table = store._table(name)
            found = [row for report, running in made for row in rows(name, report, running)]
            write_deltalake(
                table._open(), pa.Table.from_pylist(found, schema=table.schema), mode="append"
            )
    for name in TABLES:
        age(store._table(name))
    for report in best_two(runs):
        folder = storage.run(report.run_id)
        folder.path.mkdir(parents=True)
        report.write(folder)
        predictions(report).write(folder.predictions)


def age(table: RunTable) -> None:
    """Leave a table as writers do in years: its log is as long as a day's runs make it."""
    for entry in (table.place.path / "_delta_log").iterdir():
        os.utime(entry, (BEGAN.timestamp(), BEGAN.timestamp()))
    opened = table._open()
    table._tidy(opened)
    opened.create_checkpoint()
    opened.cleanup_metadata()


def make_folders(storage: Storage, runs: int) -> None:
    """Write what `ls` reads of each run's folder."""
    for number in range(runs):
        report, _ = run(number)
        folder = storage.run(report.run_id)
        folder.path.mkdir(parents=True, exist_ok=True)
        fields = {f.name for f in dataclasses.fields(RunSpec)} & set(report.to_dict())
        spec = {key: report.to_dict()[key] for key in fields}
        folder.spec.write_text(json.dumps({"spec": spec, "provenance": {}}))
        states = ("QUEUED", "PREPARING", "RUNNING", "SUCCEEDED")
        lines = ({"time": report.started_at, "event": "state", "state": s} for s in states)
        folder.events.write_text("".join(json.dumps(line) + "\n" for line in lines))


def run(number: int) -> tuple[Report, list[dict[str, Any]]]:
    """Return a run's report, and the metrics between the ends of its epochs."""
    chance = random.Random(number)
    began = BEGAN + timedelta(minutes=30 * number)
    job = JOBS[number % len(JOBS)]
    wrong = chance.randint(200, 600)
    report = Report(
        run_id=f"{began:%Y%m%d-%H%M%S}-{job}-{number:06x}",
        job=job,
        params={"units": chance.choice((32, 64, 128)), "learning_rate": 0.001, "seed": number},
        name=None,
        tags=("nightly",),
        dataset="mnist",
        dataset_fingerprint="f" * 64,
        workers=4,
        epochs=EPOCHS,
        batch_size=128,
        seed=number,
        device="cpu",
        state=RunState.SUCCEEDED,
        history=tuple(_metrics(epoch, chance) for epoch in range(1, EPOCHS + 1)),
        steps=469 * EPOCHS,
        train_rows=60_000,
        train_rows_per_s=20_000 + chance.random(),
        phases={"prepare": 0.5, "start": 9.0, "train": 20.0, "evaluate": 3.0},
        started_at=began.isoformat(),
        finished_at=(began + timedelta(seconds=40)).isoformat(),
        wall_s=40.0,
        versions={"python": "3.11.7", "keras": "3.15.1", "tensorflow": "2.21.0"},
        **_scores(wrong),
    )
    running = [
        {**_metrics(1 + line * EPOCHS // LINES, chance), "step": 16 * (1 + line)}
        for line in range(LINES)
    ]
    return report, running


def best_two(runs: int, job: str = JOBS[0]) -> list[Report]:
    """Return the two reports of a job with the highest accuracy."""
    found: Iterator[Report] = (run(n)[0] for n in range(runs) if JOBS[n % len(JOBS)] == job)
    return sorted(found, key=lambda r: (r.accuracy, r.started_at), reverse=True)[:2]


def predictions(report: Report) -> Predictions:
    """Return what a report's model said of 10,000 rows; as often wrong as the report tells."""
    import numpy as np

    label = np.arange(10_000) % 10
    wrong = np.random.default_rng(report.seed).permutation(10_000)[: _wrong(report)]
    predicted = label.copy()
    predicted[wrong] = (label[wrong] + 1) % 10
    return Predictions(
        row=np.arange(10_000),
        label=label.astype(np.int32),
        predicted=predicted.astype(np.int32),
    )


def _wrong(report: Report) -> int:
    return round((1 - (report.accuracy or 0.0)) * report.test_rows)


def _metrics(epoch: int, chance: random.Random) -> dict[str, Any]:
    loss = 1 / epoch + chance.random() / 10
    return {
        "epoch": epoch,
        "loss": loss,
        "accuracy": 1 - loss / 3,
        "seconds": 4.0,
        "rows_per_s": 15_000.0,
    }


@cache
def _scores(wrong: int) -> dict[str, Any]:
    return score_fields(_tally(wrong), CLASSES)


def _tally(wrong: int) -> Tally:
    each = [wrong // 10 + (i < wrong % 10) for i in range(10)]
    confusion = tuple(
        tuple(1000 - each[i] if j == i else each[i] if j == (i + 1) % 10 else 0 for j in range(10))
        for i in range(10)
    )
    rows = (*(0,) * (CALIBRATION_BINS - 1), 10_000)
    return Tally(
        rows=10_000,
        loss_sum=wrong * 3.0,
        confusion=confusion,
        bin_rows=rows,
        bin_confidence=tuple(0.98 * n for n in rows),
        bin_correct=(*(0,) * (CALIBRATION_BINS - 1), 10_000 - wrong),
        hardest=tuple(
            Mistake(row=n, label=1, predicted=2, confidence=0.9, loss=9 - n / 10) for n in range(25)
        ),
    )
