"""A request for what a run was asked for, once more."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

from orchestrator.catalog import load_catalog
from orchestrator.errors import UsageError
from orchestrator.launching.request import Request, find_shards
from orchestrator.observer import Observer
from orchestrator.records.events import EventLog
from orchestrator.results.report import Report
from orchestrator.secrets import check_secrets
from orchestrator.spec import RunSpec, new_run_id
from orchestrator.states import RunState
from orchestrator.storage.atomic import read_json
from orchestrator.storage.run_folder import RunFolder
from orchestrator.storage.storage import Storage


def prepare_reproduction(
    run: RunFolder, *, storage: Storage, address: str | None, observer: Observer
) -> Request:
    """Ask for what a run was asked for, as a new run on what it really ran on.

    Args:
        run: A run that has succeeded.
        storage: Where it is, and where the new one will be.
        address: Address of a Ray cluster that is up; a Ray of its own if none is given.
        observer: Told what happens.

    Returns:
        A ReadyRequest, if the run is to have a Ray of its own; as in `prepare_request`.

    Raises:
        UsageError: The run has not succeeded, or its job is gone.
        UnavailableError: The data can't be had.
    """
    if EventLog(path=run.events).state() is not RunState.SUCCEEDED:
        raise UsageError(
            f"Run {run.run_id} has not succeeded: there is nothing that could come out again.",
            hint=f"`launch-job status {run.run_id}` shows how far it is.",
        )
    report = Report.read(run)
    before = RunSpec.from_dict(read_json(run.spec).get("spec", {}), where=str(run.spec))
    check_secrets(before.secrets)
    spec = dataclasses.replace(
        before,
        run_id=new_run_id(before.job, datetime.now(UTC)),
        # Sums over other numbers of workers, or by other devices, are rounded otherwise.
        workers=report.workers,
        min_workers=None,
        device="gpu" if report.device == "gpu" else "cpu",
        name=None,
        tags=(*before.tags, f"reproduces {run.run_id}"),
    )
    job = load_catalog().jobs.get(spec.job)
    request = Request(spec=spec, job=job, storage=storage, address=address)
    return request if address is not None else find_shards(request, of=run, observer=observer)
