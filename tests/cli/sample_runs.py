"""Runs as their drivers leave them: a folder, its log and report, and rows in the tables."""

from datetime import UTC, datetime, timedelta

import numpy as np

from orchestrator.records.events import EventLog
from orchestrator.records.predictions import Predictions
from orchestrator.records.tally import CALIBRATION_BINS, Mistake, Tally
from orchestrator.results.report import Report, request_fields, score_fields
from orchestrator.results.tables import ResultsStore
from orchestrator.spec import RunSpec
from orchestrator.states import RunState
from orchestrator.storage.atomic import write_json

#: A class whose name Rich would take for markup.
CLASSES = ("cat", "dog", "[red]")

TALLY = Tally(
    rows=30,
    loss_sum=15.0,
    confusion=((9, 1, 0), (0, 10, 0), (2, 0, 8)),
    bin_rows=(*(0,) * (CALIBRATION_BINS - 1), 30),
    bin_confidence=(*(0.0,) * (CALIBRATION_BINS - 1), 28.5),
    bin_correct=(*(0,) * (CALIBRATION_BINS - 1), 27),
    hardest=(Mistake(row=17, label=2, predicted=0, confidence=0.97, loss=3.4),),
)

ERROR = {
    "kind": "ValueError",
    "message": "Input [3] is wrong.",
    "hint": "Mend it.",
    "rank": 1,
    "host": "here",
}


def make_run(storage, run_id, *, asked, state=RunState.SUCCEEDED, epochs_done=2, **wanted):
    """Write a run that was asked for at `asked`; one that has ended is recorded as well."""
    spec = RunSpec(
        **{
            "run_id": run_id,
            "job": "pets",
            "params": {"units": 8},
            "dataset": "photos",
            "workers": 2,
            "epochs": 2,
            "batch_size": 10,
            **wanted,
        }
    )
    folder = storage.run(run_id)
    write_json(folder.spec, {"spec": spec.to_dict(), "dataset_fingerprint": "", "provenance": {}})
    log = EventLog(path=folder.events)
    for step in (RunState.QUEUED, RunState.PREPARING, RunState.RUNNING):
        log.append("state", at=asked, state=step.value)
    history = tuple(_epoch(number) for number in range(1, epochs_done + 1))
    for epoch in history:
        log.append("epoch", at=asked, step=epoch["epoch"] * 3, **epoch)
    if state.finished:
        _end(storage, spec, state, asked, history)
    return folder


def _epoch(number):
    return {
        "epoch": number,
        "loss": 1 / number,
        "accuracy": 0.5,
        "rows_per_s": 1000.0,
        "seconds": 2.5,
    }


def _end(storage, spec, state, asked, history):
    done = asked + timedelta(seconds=83)
    scores = {**score_fields(TALLY, CLASSES), "history": history, "steps": 6}
    report = Report(
        **request_fields(spec),
        dataset_fingerprint="f" * 64,
        device="cpu",
        state=state,
        started_at=asked.isoformat(),
        finished_at=done.isoformat(),
        wall_s=83.0,
        phases={"start of Ray": 8.0, "training": 70.0},
        timeline=(
            {"phase": "start of Ray", "after_s": 0.0, "seconds": 8.0},
            {"phase": "training", "after_s": 9.0, "seconds": 70.0},
        ),
        train_rows=60000,
        train_rows_per_s=1000.0,
        **(scores if state is RunState.SUCCEEDED else {"error": ERROR}),
    )
    folder = storage.run(spec.run_id)
    if state is RunState.SUCCEEDED:
        predictions().write(folder.predictions)
    report.write(folder)
    ResultsStore(storage=storage).record(report)
    EventLog(path=folder.events).append("state", at=done, state=state.value)


def predictions():
    """Return what was said of each row, as the tally has counted it."""
    pairs = [
        (label, said)
        for label, line in enumerate(TALLY.confusion)
        for said, rows in enumerate(line)
        for _ in range(rows)
    ]
    label, said = np.asarray(pairs, np.int32).T
    return Predictions(row=np.arange(len(pairs)), label=label, predicted=said)


def make_runs(storage):
    """Write a run that succeeded, one that failed and one that is under way, in this order."""
    now = datetime.now(UTC)
    notes = ("photos can't be had [yet]: trains on drawings.",)
    make_run(
        storage,
        "20260101-100000-pets-aaaaaa",
        asked=now - timedelta(days=3),
        name="first",
        notes=notes,
    )
    make_run(
        storage,
        "20260102-100000-pets-bbbbbb",
        asked=now - timedelta(hours=5),
        state=RunState.FAILED,
        epochs_done=1,
    )
    make_run(
        storage,
        "20260103-100000-pets-cccccc",
        asked=now - timedelta(minutes=2),
        state=RunState.RUNNING,
        epochs_done=1,
    )
