"""A run that is ready to start: a new one, or one that is taken up again."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.catalog import Catalog, Job, load_catalog
from orchestrator.data.files.detect import file_source, is_file, memory_source
from orchestrator.data.files.file import DataFile
from orchestrator.data.plan import TrainingPlan
from orchestrator.data.prepare import PreparedDataset, find_prepared
from orchestrator.data.source import Source, SourceContext
from orchestrator.driver_lock import is_driven
from orchestrator.errors import DataUnavailableError, UsageError
from orchestrator.events import EventLog
from orchestrator.observer import Observer
from orchestrator.spec import RunOptions, RunSpec, new_run_id
from orchestrator.states import RunState
from orchestrator.storage import RunFolder, Storage, read_json

#: What a dataset is called that was given as rows in memory.
IN_MEMORY = "memory"


@dataclass(frozen=True, kw_only=True)
class Request:
    """A run that is ready to start: everything is checked that can be without starting Ray."""

    #: What is asked for.
    spec: RunSpec
    #: The job.
    job: Job
    #: The rows, or the shards that were made of them.
    data: Source | PreparedDataset
    #: Steps, and who reads which rows.
    plan: TrainingPlan
    #: Where everything is kept.
    storage: Storage
    #: Address of a Ray cluster that is up; None: a Ray of its own.
    address: str | None = None
    #: Whether to start anew if the run has checkpoints and none of them is whole.
    restart: bool = False

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
) -> Request:
    """Check a request and find its data; the arguments are those of `launch`.

    Raises:
        UsageError: The request can't be met as it is.
        UnavailableError: The data can't be had.
    """
    catalog = load_catalog()
    entry = catalog.jobs.get(job)
    named = dataset is None or isinstance(dataset, str)
    wanted = RunSpec(
        **dataclasses.asdict(options),
        run_id=new_run_id(job, datetime.now(UTC)),
        job=entry.name,
        params=entry.parse(params),
        dataset=(dataset or entry.dataset) if named else IN_MEMORY,
        epochs=entry.epochs if epochs is None else epochs,
        batch_size=entry.batch_size if batch_size is None else batch_size,
    )
    if named:
        strict = dataset is not None or address is not None
        spec, source = _find_rows(catalog, wanted, strict=strict, observer=observer)
    else:
        spec = wanted
        context = _context(spec, observer)
        source = memory_source(dataset, label=spec.label, shape=entry.shape, context=context)
    return Request(
        spec=spec,
        job=entry,
        data=source,
        plan=_plan(spec, _rows(source)),
        storage=storage,
        address=address,
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
    """Check that a run can go on, and find its data.

    Args:
        run: The run.
        workers: Number of workers from here on; what it had if none is given.
        min_workers: Fewest workers, if `workers` is given.
        restart: Whether to start anew if it has checkpoints and none of them is whole.
        storage: Where the run is.
        address: Address of a Ray cluster that is up; a Ray of its own if none is given.
        observer: Told what happens.

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
    if workers is not None:
        spec = dataclasses.replace(spec, workers=workers, min_workers=min_workers)
    catalog = load_catalog()
    mark = asked.get("dataset_fingerprint")
    data: Source | PreparedDataset | None = None
    if mark is not None:
        data = find_prepared(spec.dataset_name, mark, storage=storage)
    if data is None:
        spec, data = _find_rows(catalog, spec, strict=True, observer=observer)
    return Request(
        spec=spec,
        job=catalog.jobs.get(spec.job),
        data=data,
        plan=_plan(spec, _rows(data)),
        storage=storage,
        address=address,
        restart=restart,
    )


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
    context = _context(spec, observer)
    if spec.dataset == IN_MEMORY:
        raise UsageError(
            "The rows of this run were in memory, and had not been prepared yet.",
            hint="Start a new run.",
        )
    if spec.dataset not in catalog.datasets.entries and is_file(spec.dataset):
        return _find_file(spec, catalog.jobs.get(spec.job), context)
    wanted = catalog.datasets.get(spec.dataset)
    if spec.label is not None:
        raise UsageError(
            f"--label {spec.label} is for a dataset in a file; {wanted.name} knows its own."
        )
    try:
        return spec, wanted.load(context)
    except DataUnavailableError as err:
        if strict or spec.data_dir or wanted.offline is None:
            raise
        note = (
            f"{wanted.name} can't be had here, so this run trains on {wanted.offline} instead. "
            f"({err.message} {err.hint or ''})".rstrip()
        )
    observer.note(note)
    stand_in = catalog.datasets.get(wanted.offline)
    changed = dataclasses.replace(spec, dataset=stand_in.name, notes=(*spec.notes, note))
    return changed, stand_in.load(context)


def _find_file(spec: RunSpec, job: Job, context: SourceContext) -> tuple[RunSpec, Source]:
    """Find the rows of a dataset that is a file, named so that it is found from anywhere."""
    label = spec.label
    if label is not None and label.endswith(".npy"):
        label = DataFile.at(label).uri
    spec = dataclasses.replace(spec, dataset=DataFile.at(spec.dataset).uri, label=label)
    return spec, file_source(spec.dataset, label=label, shape=job.shape, context=context)


def _context(spec: RunSpec, observer: Observer) -> SourceContext:
    return SourceContext(
        data_dir=spec.source_dir, cache_dir=cache_dir(), progress=observer.progress
    )


def cache_dir() -> Path:
    """Return the user's folder for downloads."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "launch-job"
