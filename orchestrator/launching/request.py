"""A run that is ready to start: a new one, or one that is taken up again."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from orchestrator.catalog import Catalog, Job, load_catalog
from orchestrator.data.files.detect import memory_source
from orchestrator.data.plan import TrainingPlan
from orchestrator.data.prepare import PreparedDataset, find_prepared
from orchestrator.data.source import Source, SourceContext
from orchestrator.driver_lock import is_driven
from orchestrator.errors import DataUnavailableError, UsageError
from orchestrator.launching.sources import SourceRequest
from orchestrator.observer import Observer
from orchestrator.records.events import EventLog
from orchestrator.secrets import check_secrets
from orchestrator.spec import RunOptions, RunSpec, dataset_name, new_run_id
from orchestrator.states import RunState
from orchestrator.storage.atomic import read_json
from orchestrator.storage.caches import cache_dir
from orchestrator.storage.run_folder import RunFolder
from orchestrator.storage.storage import Storage

#: What a dataset is called that was given as rows in memory.
IN_MEMORY = "memory"


@dataclass(frozen=True, kw_only=True)
class Request:
    """A run that is asked for: everything is checked that can be without its data."""

    #: What is asked for.
    spec: RunSpec
    #: The job.
    job: Job
    #: Where everything is kept.
    storage: Storage
    #: Address of a Ray cluster that is up; None: a Ray of its own.
    address: str | None = None
    #: Whether to start anew if the run has checkpoints and none of them is whole.
    restart: bool = False


@dataclass(frozen=True, kw_only=True)
class ReadyRequest(Request):
    """A run that is ready to start: everything is checked that can be without starting Ray."""

    #: The rows, or the shards that were made of them.
    data: Source | PreparedDataset
    #: Steps, and who reads which rows.
    plan: TrainingPlan

    @property
    def origin(self) -> str:
        """Where the rows come from, in words."""
        data = self.data
        return data.manifest.origin if isinstance(data, PreparedDataset) else data.origin

    @property
    def test_rows(self) -> int:
        """Rows of the test split."""
        return _rows(self.data, "test")


def prepare_request(
    job: str,
    options: RunOptions,
    *,
    dataset: Any,
    params: Mapping[str, Any],
    epochs: int | None,
    batch_size: int | None,
    storage: Storage,
    address: str | None,
    observer: Observer,
    run_id: str | None = None,
) -> Request:
    """Check a request.

    The arguments are those of `launch`, and the run's identifier where it has one already, as that
    of a schedule's tick has.

    Returns:
        A ReadyRequest, if the run is to have a Ray of its own. For a cluster, the data is looked
        for there, by the run's driver: it may not be within reach from here.

    Raises:
        UsageError: The request can't be met as it is, or the run has begun already.
        UnavailableError: The data can't be had.
    """
    check_secrets(options.secrets)
    catalog = load_catalog()
    entry = catalog.jobs.get(job)
    named = dataset is None or isinstance(dataset, str)
    wanted = _wanted(
        entry,
        options,
        dataset=(dataset or entry.dataset) if named else IN_MEMORY,
        params=params,
        epochs=epochs,
        batch_size=batch_size,
        run_id=run_id,
    )
    if run_id is not None:
        _check_new(storage.run(run_id))
    request = Request(spec=wanted, job=entry, storage=storage, address=address)
    if named:
        if address is not None:
            return request
        return find_data(request, strict=dataset is not None, observer=observer)
    if address is not None:
        raise UsageError(
            "Rows in memory can't be sent to a cluster.",
            hint="Write them to a file that every node sees, and name that as the dataset.",
        )
    context = SourceContext(data_dir=None, cache_dir=cache_dir(), progress=observer.progress)
    source = memory_source(dataset, label=wanted.label, shape=entry.shape, context=context)
    return _ready(request, wanted, source)


def find_data(request: Request, *, strict: bool, observer: Observer) -> ReadyRequest:
    """Find the data of a request, and plan with it.

    Args:
        request: The request.
        strict: Whether no other dataset may stand in for one that can't be had.
        observer: Told of downloads, and of a stand-in.

    Raises:
        UsageError: There is no such dataset, or it can't be trained on as asked.
        UnavailableError: It can't be had.
    """
    spec, source = _find_rows(load_catalog(), request.spec, strict=strict, observer=observer)
    return _ready(request, spec, source)


def _ready(request: Request, spec: RunSpec, data: Source | PreparedDataset) -> ReadyRequest:
    return ReadyRequest(
        spec=spec,
        job=request.job,
        storage=request.storage,
        address=request.address,
        restart=request.restart,
        data=data,
        plan=_plan(spec, _rows(data)),
    )


def check_request(
    job: str,
    options: RunOptions,
    *,
    dataset: str | None,
    params: Mapping[str, Any],
    epochs: int | None,
    batch_size: int | None,
) -> None:
    """Check what can be checked of a run that starts some other time, without its data.

    The arguments are those of `launch`.

    Raises:
        UsageError: The request can't be met, whenever it is.
    """
    catalog = load_catalog()
    entry = catalog.jobs.get(job)
    spec = _wanted(
        entry,
        options,
        dataset=dataset or entry.dataset,
        params=params,
        epochs=epochs,
        batch_size=batch_size,
        run_id=None,
    )
    _plan(spec, rows=sys.maxsize)
    if not SourceRequest(dataset=spec.dataset).is_file(catalog):
        catalog.datasets.get(spec.dataset)


def _wanted(
    entry: Job,
    options: RunOptions,
    *,
    dataset: str,
    params: Mapping[str, Any],
    epochs: int | None,
    batch_size: int | None,
    run_id: str | None,
) -> RunSpec:
    return RunSpec(
        **dataclasses.asdict(options),
        run_id=run_id or new_run_id(entry.name, datetime.now(UTC)),
        job=entry.name,
        params=entry.parse(params),
        dataset=dataset,
        epochs=entry.epochs if epochs is None else epochs,
        batch_size=entry.batch_size if batch_size is None else batch_size,
    )


def _check_new(run: RunFolder) -> None:
    """Refuse to begin a run that has begun.

    Raises:
        UsageError: It has.
    """
    if EventLog(path=run.events).state() is not None:
        raise UsageError(
            f"Run {run.run_id} has begun already.",
            hint=f"`launch-job resume {run.run_id}` goes on.",
        )


def prepare_resumption(
    run: RunFolder,
    *,
    workers: int | None,
    min_workers: int | None,
    restart: bool,
    storage: Storage,
    address: str | None,
    observer: Observer,
) -> Request:
    """Check that a run can go on.

    Args:
        run: The run.
        workers: Number of workers from here on; what it had if none is given.
        min_workers: Fewest workers, if `workers` is given.
        restart: Whether to start anew if it has checkpoints and none of them is whole.
        storage: Where the run is.
        address: Address of a Ray cluster that is up; a Ray of its own if none is given.
        observer: Told what happens.

    Returns:
        A ReadyRequest, if the run is to have a Ray of its own; as in `prepare_request`.

    Raises:
        UsageError: It has succeeded, it is still going on, or its job is gone.
        UnavailableError: The data can't be had.
    """
    if is_driven(run):
        raise UsageError(
            f"Run {run.run_id} is still going on.", hint="`launch-job ls` shows how far it is."
        )
    check_unfinished(run)
    asked = read_json(run.spec)
    spec = RunSpec.from_dict(asked.get("spec", {}), where=str(run.spec))
    check_secrets(spec.secrets)
    if workers is not None:
        spec = dataclasses.replace(spec, workers=workers, min_workers=min_workers)
    request = Request(
        spec=spec,
        job=load_catalog().jobs.get(spec.job),
        storage=storage,
        address=address,
        restart=restart,
    )
    return request if address is not None else find_shards(request, of=run, observer=observer)


def find_shards(request: Request, *, of: RunFolder, observer: Observer) -> ReadyRequest:
    """Find the shards that a run began with; if they are gone, the data that they were made of.

    Raises:
        UsageError: There is no such dataset, or it can't be trained on as asked.
        UnavailableError: It can't be had.
    """
    mark = read_json(of.spec).get("dataset_fingerprint")
    if mark is not None:
        name = dataset_name(request.spec.dataset)
        found = find_prepared(name, mark, storage=request.storage)
        if found is not None:
            return _ready(request, request.spec, found)
    return find_data(request, strict=True, observer=observer)


def check_unfinished(run: RunFolder) -> None:
    """Refuse to take up a run that has succeeded; one that hasn't begun passes.

    Raises:
        UsageError: It has.
    """
    if EventLog(path=run.events).state() is RunState.SUCCEEDED:
        raise UsageError(
            f"Run {run.run_id} has succeeded: there is nothing left to do.",
            hint=f"`launch-job report {run.run_id}` shows what came out.",
        )


def _rows(data: Source | PreparedDataset, split: str = "train") -> int:
    if isinstance(data, PreparedDataset):
        return data.manifest.rows(split)
    return data.splits[split].rows


def _plan(spec: RunSpec, rows: int) -> TrainingPlan:
    return TrainingPlan(
        rows=rows,
        streams=spec.streams,
        workers=spec.workers,
        batch_size=spec.batch_size,
        epochs=spec.epochs,
    )


def _find_rows(
    catalog: Catalog, spec: RunSpec, *, strict: bool, observer: Observer
) -> tuple[RunSpec, Source]:
    """Find the dataset's rows, or those of the one that stands in for it.

    Raises:
        DataUnavailableError: They can't be had, and nothing may stand in: the user named the
            dataset, or it would be on a cluster, where nobody may be looking.
    """
    if spec.dataset == IN_MEMORY:
        raise UsageError(
            "The rows of this run were in memory, and had not been prepared yet.",
            hint="Start a new run.",
        )
    wanted = SourceRequest(
        dataset=spec.dataset,
        label=spec.label,
        shape=catalog.jobs.get(spec.job).shape,
        data_dir=spec.source_dir,
    ).located(catalog)
    found = dataclasses.replace(spec, dataset=wanted.dataset, label=wanted.label)
    try:
        return found, wanted.find(catalog, observer.progress)
    except DataUnavailableError as err:
        entry = catalog.datasets.get(spec.dataset)
        if strict or spec.data_dir or entry.offline is None:
            raise
        note = (
            f"{entry.name} can't be had here, so this run trains on {entry.offline} instead. "
            f"({err.message} {err.hint or ''})".rstrip()
        )
    observer.note(note)
    stand_in = dataclasses.replace(spec, dataset=entry.offline, notes=(*spec.notes, note))
    return stand_in, SourceRequest(dataset=entry.offline).find(catalog, observer.progress)
