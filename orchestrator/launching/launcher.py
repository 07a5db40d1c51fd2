"""From a request to a running run."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.launching.driving import drive, driving
from orchestrator.launching.request import ReadyRequest, Request, check_unfinished, prepare_request
from orchestrator.observer import Observer
from orchestrator.records.timeline import note, take_noted
from orchestrator.spec import DEFAULT_STREAMS, Device, Precision, RunOptions, RunSpec
from orchestrator.storage.run_folder import RunFolder
from orchestrator.storage.storage import Storage

if TYPE_CHECKING:
    import pyarrow as pa
    from pandas import DataFrame

    from orchestrator.driver.place import Place
    from orchestrator.results.report import Report


def launch(
    job: str,
    *,
    workers: int = 1,
    min_workers: int | None = None,
    dataset: str | DataFrame | pa.Table | Mapping[str, Any] | None = None,
    label: str | None = None,
    params: Mapping[str, Any] | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    streams: int = DEFAULT_STREAMS,
    device: Device = "auto",
    precision: Precision = "float32",
    jit: bool = False,
    deterministic: bool | None = None,
    retries: int = 3,
    checkpoint_every: int | None = None,
    keep: int = 2,
    wait_s: float | None = None,
    name: str | None = None,
    tags: Sequence[str] = (),
    secrets: Sequence[str] = (),
    storage: str | None = None,
    data_dir: str | None = None,
    address: str | None = None,
    insecure: bool = False,
    observer: Observer | None = None,
) -> Report:
    """Train a job and return its report.

        from orchestrator import launch
        report = launch("lstm-mnist", workers=4)

    Args:
        job: Name of the job.
        workers: Number of workers.
        min_workers: Fewest workers to start or go on with; it takes more when there is room.
        dataset: Name of the dataset, or the path of a file; or rows in memory: a pandas DataFrame,
            an Arrow table, or a mapping of NumPy arrays. The job's own dataset if none is given.
        label: Column to learn, where the dataset is a file or lies in memory.
        params: Parameters of the job that differ from their defaults.
        epochs: Passes over the training rows; the job's own number if none is given.
        batch_size: Rows of a global batch; the job's own if none is given.
        seed: Seed of everything random.
        streams: Streams that the dataset is dealt into: the most workers it can have.
        device: `auto` takes GPUs where every worker can have one, else CPUs.
        precision: What layers compute in: `float32`, `mixed_bfloat16` or `mixed_float16`.
        jit: Whether XLA compiles the forward and backward pass.
        deterministic: Whether TensorFlow's operations give the same bits each time; on CPUs if it
            isn't said.
        retries: Failures of workers after which training still goes on.
        checkpoint_every: Steps of an epoch between checkpoints; one at the end of each if none is
            given.
        keep: Newest checkpoints to keep, beside the best.
        wait_s: Seconds to wait for free workers; as long as it takes if none is given.
        name: A name for the run, shown in lists.
        tags: Labels that are kept with its results.
        secrets: Names of environment variables that only the run's processes are to know.
        storage: Folder, or s3:// or gs:// address, for runs, datasets and results;
            LAUNCH_JOB_STORAGE or `./runs-store` if none is given.
        data_dir: Folder of the dataset's files; LAUNCH_JOB_DATA_DIR if none is given.
        address: Address of a Ray cluster that is up (`orchestrator.cluster.address` says of which
            kinds there are). If none is given: the project's own cluster, if it was brought up from
            here, or else a Ray of its own on this machine.
        insecure: Whether a cluster is accepted that lets everybody in.
        observer: Told what happens.

    Raises:
        UsageError: The request can't be met as it is.
        UnavailableError: The data, the storage or Ray can't be had.
        RunFailedError: The run failed.
        StoppedError: It was interrupted.
    """
    began_s = time.time()
    watcher = observer or Observer()
    options = RunOptions(
        workers=workers,
        min_workers=min_workers,
        seed=seed,
        streams=streams,
        device=device,
        precision=precision,
        jit=jit,
        deterministic=deterministic,
        retries=retries,
        checkpoint_every=checkpoint_every,
        keep=keep,
        wait_s=wait_s,
        name=name,
        tags=tuple(tags),
        secrets=tuple(secrets),
        data_dir=data_dir or os.environ.get("LAUNCH_JOB_DATA_DIR"),
        label=label,
    )
    request = prepare_request(
        job,
        options,
        dataset=dataset,
        params=params or {},
        epochs=epochs,
        batch_size=batch_size,
        storage=Storage.chosen(storage),
        address=_cluster(address),
        observer=watcher,
    )
    return run_request(request, watcher, began_s=began_s, insecure=insecure)


def _cluster(address: str | None) -> str | None:
    from orchestrator.cluster.address import LOCAL, standing_cluster

    if address is None:
        return standing_cluster()
    return None if address == LOCAL else address


def run_request(
    request: Request, observer: Observer, *, began_s: float, insecure: bool = False
) -> Report:
    """Run a request where it is to run, and wait for its end.

    Args:
        request: The request.
        observer: Told what happens.
        began_s: When the command was given, in seconds since 1970.
        insecure: Whether a cluster is accepted that lets everybody in.

    Raises:
        LaunchJobError: As `launch` does.
    """
    if request.address is not None:
        from orchestrator.launching.submission import submit

        submitted = submit(request, observer, began_s=began_s, insecure=insecure)
        return submitted.follow(observer)
    assert isinstance(request, ReadyRequest)
    take_noted()  # What this process did before is none of this run's.
    note("command", began_s)
    request.storage.check_writable()
    folder = request.storage.run(request.spec.run_id)
    with driving(folder) as interrupts:
        # Another driver may have brought it to its end since the request was made.
        check_unfinished(folder)
        spec = _share_cores(request.spec, observer)
        with _place(spec, folder, observer) as place:
            ready = dataclasses.replace(request, spec=spec)
            return drive(ready, place, interrupts, observer, began_s=began_s)


def _share_cores(spec: RunSpec, observer: Observer) -> RunSpec:
    """Say, once, that workers of an embedded Ray have to share cores, if they have to."""
    from orchestrator.cluster.embedded import Machine

    note = Machine.here().sharing(spec.least_workers)
    if note is None or note in spec.notes:
        return spec
    observer.note(note)
    return dataclasses.replace(spec, notes=(*spec.notes, note))


@contextlib.contextmanager
def _place(spec: RunSpec, folder: RunFolder, observer: Observer) -> Iterator[Place]:
    """Join the warm cluster of this machine, or start a Ray of the run's own."""
    from orchestrator.cluster.embedded import EmbeddedRay
    from orchestrator.cluster.metadata import job_metadata
    from orchestrator.cluster.warm_ray import warm_place

    workers, logs, metadata = spec.least_workers, folder.logs, job_metadata(spec)
    with warm_place(workers=workers, metadata=metadata, logs=logs, tell=observer.note) as warm:
        if warm is not None:
            yield warm
            return
        with EmbeddedRay(workers=workers, logs=logs, metadata=metadata) as own:
            yield own
