"""Being a run's driver: of a run of one's own, or of one that was submitted to this cluster."""

from __future__ import annotations

import contextlib
import os
import platform
import socket
from collections.abc import Iterator
from typing import Any

from orchestrator.catalog import load_catalog
from orchestrator.driver.broadcast import Audience, Broadcast
from orchestrator.driver.place import Place
from orchestrator.driver_lock import DriverLock
from orchestrator.errors import LaunchJobError, StoppedError, UnavailableError
from orchestrator.interrupts import Interrupts
from orchestrator.launching.request import ReadyRequest, Request, find_shards
from orchestrator.launching.submission import Submission
from orchestrator.observer import Observer
from orchestrator.provenance import installed_versions
from orchestrator.records.events import EventLog
from orchestrator.records.timeline import note, phase
from orchestrator.results.report import Report
from orchestrator.secrets import take_secrets, write_secrets
from orchestrator.spec import RunSpec
from orchestrator.states import RunState
from orchestrator.storage.atomic import read_json
from orchestrator.storage.run_folder import RunFolder
from orchestrator.storage.storage import Storage

#: Packages that decide what a run computes: the cluster has the versions that were asked for.
_DECISIVE = ("ray", "tensorflow", "keras")


@contextlib.contextmanager
def driving(folder: RunFolder) -> Iterator[Interrupts]:
    """Hold a run as its driver, and take this process's signals for requests to stop it.

    Raises:
        UsageError: Another driver holds it.
        StoppedError: A signal came while there was nothing to bring to an end.
    """
    with DriverLock(folder), Interrupts() as interrupts:
        try:
            yield interrupts
        except KeyboardInterrupt as err:
            raise StoppedError("Stopped.") from err


def drive(
    request: ReadyRequest,
    place: Place,
    interrupts: Interrupts,
    observer: Observer,
    *,
    began_s: float,
    queued: bool = False,
) -> Report:
    """Drive a run that this process holds, at a place that is entered.

    Args:
        request: The run.
        place: Where its workers run.
        interrupts: Signals of this process.
        observer: Told what happens.
        began_s: When the command was given, in seconds since 1970.
        queued: Whether whoever submitted it has written it down.

    Raises:
        LaunchJobError: As `Driver.run` does.
    """
    with phase("imports"):
        from orchestrator.driver.driver import Driver

    return Driver(
        spec=request.spec,
        job=request.job,
        data=request.data,
        plan=request.plan,
        storage=request.storage,
        place=place,
        interrupts=interrupts,
        observer=Audience(observer, Broadcast(request.storage.run(request.spec.run_id))),
        restart=request.restart,
        began_s=began_s,
        queued=queued,
    ).run()


def drive_submitted(storage: Storage, run_id: str, number: int, observer: Observer) -> None:
    """Drive a run that was submitted to the cluster that this process is a job of.

    Args:
        storage: Where it was written down.
        run_id: The run.
        number: Which of its submissions this is; nothing is done if it is not its last, or if it
            was stopped before it began.
        observer: Told what happens.

    Raises:
        LaunchJobError: As `Driver.run` does; also if the storage isn't here, or what is installed
            here is not what the run was asked for with.
    """
    folder = storage.run(run_id)
    submission = Submission.read(folder)
    if submission is None:
        raise UnavailableError(
            f"{socket.gethostname()}, the head, has no run {run_id} in {storage.path}: it does not "
            "share that storage with the machine that asked for the run.",
            hint="Name a folder that all nodes and this machine see at the same path (--storage).",
        )
    log = EventLog(path=folder.events)
    with driving(folder) as interrupts:
        if submission.number != number or log.state() is not RunState.QUEUED:
            return
        try:
            take_secrets(folder.secrets)
            _drive_queued(storage, folder, submission, interrupts, observer)
        except BaseException as err:
            if log.state() is RunState.QUEUED:
                _refuse(storage, folder, err)
            raise
        finally:
            write_secrets(folder.secrets, ())


def _drive_queued(
    storage: Storage,
    folder: RunFolder,
    submission: Submission,
    interrupts: Interrupts,
    observer: Observer,
) -> None:
    from orchestrator.cluster.joined import JoinedRay
    from orchestrator.cluster.metadata import job_metadata

    note("submit", submission.began_s)
    asked = read_json(folder.spec)
    spec = RunSpec.from_dict(asked["spec"], where=str(folder.spec))
    if submission.number == 1:
        _check_versions(asked["provenance"]["versions"], installed=submission.install)
    request = Request(
        spec=spec,
        job=load_catalog().jobs.get(spec.job),
        storage=storage,
        restart=submission.restart,
    )
    ready = find_shards(request, of=folder, observer=Audience(observer, Broadcast(folder)))
    # Ray tells each job where its cluster is.
    address = os.environ.get("RAY_ADDRESS", "auto")
    joined = JoinedRay(
        address, storage=storage, metadata=job_metadata(spec), files=[request.job.path]
    )
    with joined as place:
        drive(ready, place, interrupts, observer, began_s=submission.began_s, queued=True)


def _check_versions(asked: dict[str, str], *, installed: bool) -> None:
    """Compare what the head has installed with what the run was asked for with.

    Args:
        asked: Version of each package there.
        installed: Whether packages were installed for this run: then launch-job itself came along
            as files, and has no version.

    Raises:
        UnavailableError: It is something else.
    """
    here = installed_versions()
    decisive = _DECISIVE if installed else ("launch-job", *_DECISIVE)
    differing = [
        f"{name} {here.get(name, '(not installed)')}, not {asked[name]}"
        for name in decisive
        if name in asked and here.get(name) != asked[name]
    ]
    minor = ".".join(asked["python"].split(".")[:2])
    if not platform.python_version().startswith(f"{minor}."):
        differing.insert(0, f"Python {platform.python_version()}, not {minor}")
    if differing:
        raise UnavailableError(
            f"{socket.gethostname()}, the cluster's head, has {'; '.join(differing)}.",
            hint="Install the same on all nodes, or have the run bring it (--install).",
        )


def _refuse(storage: Storage, folder: RunFolder, err: BaseException) -> None:
    """Record that a run ended before its driver could begin."""
    from orchestrator.driver.conclusion import describe_error, write_report

    spec = RunSpec.from_dict(read_json(folder.spec)["spec"], where=str(folder.spec))
    error = describe_error(err) if isinstance(err, Exception) else None
    state = RunState.FAILED if error else RunState.STOPPED
    fields = {"device": spec.device, "versions": installed_versions()}
    details: dict[str, Any] = {"error": error} if error else {}
    # Whatever keeps it from being recorded is less than what is on its way.
    with contextlib.suppress(LaunchJobError):
        write_report(spec, storage, state, fields=fields, error=error)
        EventLog(path=folder.events).append("state", state=state.value, **details)
