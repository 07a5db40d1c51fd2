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
from orchestrator.data.prepare import PreparedDataset, find_prepared
from orchestrator.data.source import Source, SourceContext
from orchestrator.driver_lock import DriverLock, is_driven
from orchestrator.errors import DataUnavailableError, StoppedError, UsageError
from orchestrator.events import EventLog
from orchestrator.interrupts import Interrupts
from orchestrator.observer import Observer
from orchestrator.spec import DEFAULT_STREAMS, Device, RunOptions, RunSpec, new_run_id
from orchestrator.states import RunState
from orchestrator.storage import DEFAULT_STORAGE, RunFolder, Storage, read_json

if TYPE_CHECKING:
    from orchestrator.cluster.embedded import EmbeddedRay
    from orchestrator.cluster.joined import JoinedRay
    from orchestrator.results.report import Report


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


def launch(
    job: str,
    *,
    workers: int = 1,
    min_workers: int | None = None,
    dataset: str | None = None,
    params: Mapping[str, Any] | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    streams: int = DEFAULT_STREAMS,
    device: Device = "auto",
    deterministic: bool | None = None,
    retries: int = 3,
    checkpoint_every: int | None = None,
    keep: int = 2,
    wait_s: float | None = None,
    name: str | None = None,
    tags: Sequence[str] = (),
    storage: str | None = None,
    data_dir: str | None = None,
    address: str | None = None,
    observer: Observer | None = None,
) -> Report:
    """Train a job and return its report.

        from orchestrator import launch
        report = launch("lstm-mnist", workers=4)

    Args:
        job: Name of the job.
        workers: Number of workers.
        min_workers: Fewest workers to start or go on with; it takes more when there is room.
        dataset: Name of the dataset; the job's own if none is given.
        params: Parameters of the job that differ from their defaults.
        epochs: Passes over the training rows; the job's own number if none is given.
        batch_size: Rows of a global batch; the job's own if none is given.
        seed: Seed of everything random.
        streams: Streams that the dataset is dealt into: the most workers it can have.
        device: `auto` takes GPUs where every worker can have one, else CPUs.
        deterministic: Whether TensorFlow's operations give the same bits each time; on CPUs if it
            isn't said.
        retries: Failures of workers after which training still goes on.
        checkpoint_every: Steps of an epoch between checkpoints; one at the end of each if none is
            given.
        keep: Newest checkpoints to keep, beside the best.
        wait_s: Seconds to wait for free workers; as long as it takes if none is given.
        name: A name for the run, shown in lists.
        tags: Labels that are kept with its results.
        storage: Folder for runs, datasets and results; LAUNCH_JOB_STORAGE or `./runs-store` if
            none is given.
        data_dir: Folder of the dataset's files; LAUNCH_JOB_DATA_DIR if none is given.
        address: Address of a Ray cluster that is up; a Ray of its own on this machine if none is
            given.
        observer: Told what happens.

    Raises:
        UsageError: The request can't be met as it is.
        UnavailableError: The data, the storage or Ray can't be had.
        RunFailedError: The run failed.
        StoppedError: It was interrupted.
    """
    watcher = observer or Observer()
    options = RunOptions(
        workers=workers,
        min_workers=min_workers,
        seed=seed,
        streams=streams,
        device=device,
        deterministic=deterministic,
        retries=retries,
        checkpoint_every=checkpoint_every,
        keep=keep,
        wait_s=wait_s,
        name=name,
        tags=tuple(tags),
        data_dir=data_dir or os.environ.get("LAUNCH_JOB_DATA_DIR"),
    )
    request = prepare_request(
        job,
        options,
        dataset=dataset,
        params=params or {},
        epochs=epochs,
        batch_size=batch_size,
        storage=Storage.at(storage or os.environ.get("LAUNCH_JOB_STORAGE") or DEFAULT_STORAGE),
        address=address,
        observer=watcher,
    )
    return run_request(request, watcher)


def prepare_request(
    job: str,
    options: RunOptions,
    *,
    dataset: str | None,
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
    wanted = RunSpec(
        **dataclasses.asdict(options),
        run_id=new_run_id(job, datetime.now(UTC)),
        job=entry.name,
        params=entry.parse(params),
        dataset=dataset or entry.dataset,
        epochs=entry.epochs if epochs is None else epochs,
        batch_size=entry.batch_size if batch_size is None else batch_size,
    )
    strict = dataset is not None or address is not None
    spec, source = _find_rows(catalog, wanted, strict=strict, observer=observer)
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
    if EventLog(path=run.events).state() is RunState.SUCCEEDED:
        raise UsageError(
            f"Run {run.run_id} has succeeded: there is nothing left to do.",
            hint=f"`launch-job report {run.run_id}` shows what came out.",
        )
    asked = read_json(run.spec)
    spec = RunSpec.from_dict(asked.get("spec", {}), where=str(run.spec))
    if workers is not None:
        spec = dataclasses.replace(spec, workers=workers, min_workers=min_workers)
    catalog = load_catalog()
    mark = asked.get("dataset_fingerprint")
    data: Source | PreparedDataset | None = None
    if mark is not None:
        data = find_prepared(spec.dataset, mark, storage=storage)
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


def run_request(request: Request, observer: Observer) -> Report:
    """Run a request where it is to run.

    Raises:
        LaunchJobError: As `launch` does.
    """
    request.storage.check_writable()
    folder = request.storage.run(request.spec.run_id)
    with DriverLock(folder), Interrupts() as interrupts:
        try:
            return _drive(request, folder, interrupts, observer)
        except KeyboardInterrupt as err:
            raise StoppedError("Stopped.") from err


def _drive(
    request: Request, folder: RunFolder, interrupts: Interrupts, observer: Observer
) -> Report:
    from orchestrator.driver import Driver

    spec, plan = request.spec, request.plan
    if request.address is None:
        spec = _share_cores(spec, observer)
    with _place(request, folder) as place:
        observer.began(
            folder, epochs=plan.epochs, rows=plan.rows, steps_per_epoch=plan.steps_per_epoch
        )
        return Driver(
            spec=spec,
            job=request.job,
            data=request.data,
            storage=request.storage,
            place=place,
            interrupts=interrupts,
            observer=observer,
            restart=request.restart,
        ).run()


def _share_cores(spec: RunSpec, observer: Observer) -> RunSpec:
    """Say, once, that workers of an embedded Ray have to share cores, if they have to."""
    from orchestrator.cluster.embedded import Machine

    note = Machine.here().sharing(spec.least_workers)
    if note is None or note in spec.notes:
        return spec
    observer.note(note)
    return dataclasses.replace(spec, notes=(*spec.notes, note))


def _place(request: Request, folder: RunFolder) -> EmbeddedRay | JoinedRay:
    if request.address is None:
        from orchestrator.cluster.embedded import EmbeddedRay

        return EmbeddedRay(workers=request.spec.least_workers, logs=folder.logs)
    from orchestrator.cluster.joined import JoinedRay

    return JoinedRay(
        request.address,
        storage=request.storage,
        run_id=request.spec.run_id,
        files=[request.job.path],
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
    wanted = catalog.datasets.get(spec.dataset)
    context = SourceContext(
        data_dir=spec.source_dir, cache_dir=cache_dir(), progress=observer.progress
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


def cache_dir() -> Path:
    """Return the user's folder for downloads."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "launch-job"
