"""From a request to a running run."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.catalog import Catalog, Job, load_catalog
from orchestrator.data.plan import TrainingPlan
from orchestrator.data.source import Source, SourceContext
from orchestrator.errors import DataUnavailableError
from orchestrator.observer import Observer
from orchestrator.spec import DEFAULT_STREAMS, Device, RunSpec, new_run_id
from orchestrator.storage import DEFAULT_STORAGE, Storage

if TYPE_CHECKING:
    from orchestrator.results.report import Report


@dataclass(frozen=True, kw_only=True)
class Request:
    """A run that is ready to start: everything is checked that can be without starting Ray."""

    #: What is asked for.
    spec: RunSpec
    #: The job.
    job: Job
    #: The rows.
    source: Source
    #: Steps, and who reads which rows.
    plan: TrainingPlan
    #: Where everything is kept.
    storage: Storage


def launch(
    job: str,
    *,
    workers: int = 1,
    dataset: str | None = None,
    params: Mapping[str, Any] | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    streams: int = DEFAULT_STREAMS,
    device: Device = "auto",
    name: str | None = None,
    tags: Sequence[str] = (),
    storage: str | None = None,
    data_dir: str | None = None,
    observer: Observer | None = None,
) -> Report:
    """Train a job and return its report.

        from orchestrator import launch
        report = launch("lstm-mnist", workers=4)

    Args:
        job: Name of the job.
        workers: Number of workers.
        dataset: Name of the dataset; the job's own if none is given.
        params: Parameters of the job that differ from their defaults.
        epochs: Passes over the training rows; the job's own number if none is given.
        batch_size: Rows of a global batch; the job's own if none is given.
        seed: Seed of everything random.
        streams: Streams that the dataset is dealt into: the most workers it can have.
        device: `auto` takes GPUs where every worker can have one, else CPUs.
        name: A name for the run, shown in lists.
        tags: Labels that are kept with its results.
        storage: Folder for runs, datasets and results; LAUNCH_JOB_STORAGE or `./runs-store` if
            none is given.
        data_dir: Folder of the dataset's files; LAUNCH_JOB_DATA_DIR if none is given.
        observer: Told what happens.

    Raises:
        UsageError: The request can't be met as it is.
        UnavailableError: The data, the storage or Ray can't be had.
        RunFailedError: The run failed.
        StoppedError: It was interrupted.
    """
    watcher = observer or Observer()
    request = prepare_request(
        job,
        workers=workers,
        dataset=dataset,
        params=params or {},
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        streams=streams,
        device=device,
        name=name,
        tags=tags,
        storage=storage,
        data_dir=data_dir,
        observer=watcher,
    )
    return run_embedded(request, watcher)


def prepare_request(
    job: str,
    *,
    workers: int,
    dataset: str | None,
    params: Mapping[str, Any],
    epochs: int | None,
    batch_size: int | None,
    seed: int,
    streams: int,
    device: Device,
    name: str | None,
    tags: Sequence[str],
    storage: str | None,
    data_dir: str | None,
    observer: Observer,
) -> Request:
    """Check a request and find its data; the arguments are those of `launch`.

    Raises:
        UsageError: The request can't be met as it is.
        UnavailableError: The data can't be had.
    """
    catalog = load_catalog()
    entry = catalog.jobs.get(job)
    where = data_dir or os.environ.get("LAUNCH_JOB_DATA_DIR")
    values = entry.parse(params)
    wanted = RunSpec(
        run_id=new_run_id(job, datetime.now(UTC)),
        job=entry.name,
        params=values,
        dataset=dataset or entry.dataset,
        workers=workers,
        epochs=entry.epochs if epochs is None else epochs,
        batch_size=entry.batch_size if batch_size is None else batch_size,
        seed=seed,
        streams=streams,
        device=device,
        name=name,
        tags=tuple(tags),
        data_dir=where,
    )
    spec, source = _find_rows(catalog, wanted, named=dataset is not None, observer=observer)
    plan = TrainingPlan(
        rows=source.splits["train"].rows,
        streams=spec.streams,
        workers=spec.workers,
        batch_size=spec.batch_size,
        epochs=spec.epochs,
    )
    root = storage or os.environ.get("LAUNCH_JOB_STORAGE") or DEFAULT_STORAGE
    return Request(spec=spec, job=entry, source=source, plan=plan, storage=Storage.at(root))


def run_embedded(request: Request, observer: Observer) -> Report:
    """Run a request on a Ray of its own, on this machine.

    Raises:
        LaunchJobError: As `launch` does.
    """
    from orchestrator.cluster.embedded import EmbeddedRay
    from orchestrator.driver import Driver

    request.storage.check_writable()
    folder = request.storage.run(request.spec.run_id)
    spec = request.spec
    with EmbeddedRay(workers=spec.workers, logs=folder.logs) as place:
        if (sharing := place.machine.sharing(spec.workers)) is not None:
            observer.note(sharing)
            spec = dataclasses.replace(spec, notes=(*spec.notes, sharing))
        driver = Driver(
            spec=spec,
            job=request.job,
            source=request.source,
            storage=request.storage,
            place=place,
            observer=observer,
        )
        plan = request.plan
        observer.began(
            folder, epochs=plan.epochs, rows=plan.rows, steps_per_epoch=plan.steps_per_epoch
        )
        return driver.run()


def _find_rows(
    catalog: Catalog, spec: RunSpec, *, named: bool, observer: Observer
) -> tuple[RunSpec, Source]:
    """Find the dataset's rows, or those of the one that stands in for it.

    Raises:
        DataUnavailableError: They can't be had, and nothing may stand in.
    """
    wanted = catalog.datasets.get(spec.dataset)
    context = SourceContext(
        data_dir=spec.source_dir, cache_dir=cache_dir(), progress=observer.progress
    )
    try:
        return spec, wanted.load(context)
    except DataUnavailableError as err:
        if named or spec.data_dir or wanted.offline is None:
            raise
        note = (
            f"{wanted.name} can't be had here, so this run trains on {wanted.offline} instead. "
            f"({err.message} {err.hint or ''})".rstrip()
        )
    observer.note(note)
    stand_in = catalog.datasets.get(wanted.offline)
    changed = dataclasses.replace(spec, dataset=stand_in.name, notes=(*spec.notes, note))
    return changed, stand_in.load(context)


def cache_dir() -> Path:
    """Return the user's folder for downloads."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "launch-job"
