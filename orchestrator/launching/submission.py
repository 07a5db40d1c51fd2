"""Submitting a run to a cluster: written down first, then handed to Ray as a job.

The run's folder says all that the job needs to know, so the job's command line is no more than
where the folder is. The job's identifier is the run's, which makes it a key: however often a
submission is tried, Ray takes it once. A run that is taken up again is the same run and another
job: `RUN.2`, `RUN.3` and so on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shlex
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.catalog import load_catalog
from orchestrator.catalog.discovery import find_project
from orchestrator.cluster.address import find_dashboard
from orchestrator.cluster.installation import locked_environment
from orchestrator.cluster.jobs import JobsApi
from orchestrator.cluster.metadata import job_metadata
from orchestrator.cluster.package import Package, list_package, size_text
from orchestrator.driver_lock import DriverLock
from orchestrator.errors import LaunchJobError, UsageError
from orchestrator.follow import AskVital, Follower, Vital, nobody_knows
from orchestrator.launching.request import Request, check_unfinished
from orchestrator.launching.sources import SourceRequest
from orchestrator.observer import Observer
from orchestrator.provenance import Provenance
from orchestrator.records.events import EventLog
from orchestrator.results.report import Report
from orchestrator.secrets import write_secrets
from orchestrator.spec import RunSpec
from orchestrator.states import RunState
from orchestrator.storage.atomic import read_json, write_json
from orchestrator.storage.run_folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class Submission:
    """The job that a run is, or was last."""

    #: Identifier of the job.
    job_id: str
    #: How often the run has been submitted.
    number: int
    #: Address of the cluster, as the user gave it.
    address: str
    #: When the command was given, in seconds since 1970, by the clock of whoever gave it.
    began_s: float
    #: Whether to start anew if no checkpoint is whole.
    restart: bool = False
    #: Whether the cluster lets everybody in, and the user knows.
    insecure: bool = False
    #: Whether the cluster installs packages for the run, instead of having them.
    install: bool = False

    @classmethod
    def read(cls, run: RunFolder) -> Submission | None:
        """Read it from a run's folder; None of a run that was never submitted."""
        return cls(**read_json(run.submission)) if run.submission.is_file() else None

    def jobs(self) -> JobsApi:
        """Return the cluster's Jobs API.

        Raises:
            UnavailableError: It can't be reached from here.
        """
        return JobsApi(find_dashboard(self.address), insecure=self.insecure)

    @classmethod
    def next(cls, run: RunFolder, **details: Any) -> Submission:
        """Return the next one of a run."""
        last = cls.read(run)
        number = 1 if last is None else last.number + 1
        job_id = run.run_id if number == 1 else f"{run.run_id}.{number}"
        return cls(job_id=job_id, number=number, **details)


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """A run that a cluster has taken."""

    #: The run.
    run: RunFolder
    #: Its job.
    submission: Submission
    #: The cluster.
    jobs: JobsApi

    def follow(self, observer: Observer) -> Report:
        """Follow the run to its end.

        Raises:
            LaunchJobError: As the run's driver did.
        """
        job_id = self.submission.job_id
        return Follower(
            run=self.run, observer=observer, ask=lambda: self.jobs.vital(job_id)
        ).follow()


def asker(run: RunFolder) -> AskVital:
    """Return who knows of a run that nobody seems to drive: the cluster that has taken it."""
    submission = Submission.read(run)
    if submission is None:
        return nobody_knows

    def ask() -> tuple[Vital, tuple[str, ...]]:
        try:
            return submission.jobs().vital(submission.job_id)
        except LaunchJobError:
            return Vital.UNKNOWN, ()

    return ask


def submit(
    request: Request,
    observer: Observer,
    *,
    began_s: float,
    insecure: bool = False,
    install: bool = False,
) -> Submitted:
    """Hand a run to its cluster.

    Args:
        request: The run; its address is that of a cluster.
        observer: Told what is sent.
        began_s: When the command was given, in seconds since 1970.
        insecure: Whether a cluster is accepted that lets everybody in.
        install: Whether the cluster is to install what the project's lock file names.

    Raises:
        UsageError: The storage is one of objects, there is no lock file, the project is too large
            to be sent, or the run is being driven already.
        UnavailableError: The storage can't be written, or the cluster does not take the run.
    """
    assert request.address is not None
    if request.storage.objects is not None:
        raise UsageError(
            f"A run on a cluster can't be kept in {request.storage}: all nodes have to see one "
            "folder.",
            hint="Name such a folder (--storage), or train on this machine (--address local).",
        )
    request.storage.check_writable()
    jobs = JobsApi(find_dashboard(request.address), insecure=insecure)
    project = find_project(Path.cwd())
    package = list_package(project) if project else None
    environment = locked_environment(project, request.storage) if install else {}
    run = request.storage.run(request.spec.run_id)
    with tempfile.TemporaryDirectory() as folder, DriverLock(run):
        archive = _write(package, Path(folder)) if package else None
        submission = Submission.next(
            run,
            address=request.address,
            began_s=began_s,
            restart=request.restart,
            insecure=insecure,
            install=install,
        )
        is_new = not run.spec.exists()
        try:
            spec = located(request.spec, package)
            _write_down(dataclasses.replace(request, spec=spec), run, submission)
            jobs.submit(
                submission.job_id,
                entrypoint(run, submission.number),
                working_dir=archive,
                metadata=job_metadata(request.spec),
                runtime_env=environment,
            )
        except BaseException as err:
            _take_back(run, err, is_new=is_new)
            raise
    observer.submitted(run, cluster=jobs.url, sent=_sent(package), installs=install)
    return Submitted(run=run, submission=submission, jobs=jobs)


def _sent(package: Package | None) -> str:
    if package is None:
        return "no project"
    count = len(package.files)
    return f"{count} file{'' if count == 1 else 's'}, {size_text(package.size_bytes)}"


def withdraw(run: RunFolder) -> bool:
    """End a run that is queued and has no driver yet.

    Its job may begin nevertheless: Ray says that it has stopped a pending job, and lets it begin.
    It finds that it isn't wanted any more, and does nothing.

    Returns:
        Whether there was such a run.

    Raises:
        UsageError: A driver has taken it meanwhile.
    """
    submission = Submission.read(run)
    log = EventLog(path=run.events)
    if submission is None or log.state() is not RunState.QUEUED:
        return False
    with DriverLock(run):
        if log.state() is not RunState.QUEUED:
            return False
        log.append("state", state=RunState.STOPPED.value)
        write_secrets(run.secrets, ())
    # What Ray still knows of it is of no account, whether it can be reached or not.
    with contextlib.suppress(LaunchJobError):
        submission.jobs().stop(submission.job_id)
    return True


def _write(package: Package, folder: Path) -> Path:
    archive = folder / "project.zip"
    package.write(archive)
    return archive


def entrypoint(run: RunFolder, number: int) -> str:
    """Return the job's command line: Python as the shell of `ray start` on the head knew it."""
    storage = run.path.parent.parent
    words = ["python", "-m", "orchestrator.cli.drive", str(storage), run.run_id, str(number)]
    return shlex.join(words)


def located(spec: RunSpec, package: Package | None) -> RunSpec:
    """Return a request with paths that the driver finds as well.

    A file that travels with the project is found from the project's folder, which the driver begins
    in; any other at the same path as here.
    """
    catalog = load_catalog()
    is_file = SourceRequest(dataset=spec.dataset).is_file(catalog)
    in_label = spec.label is not None and spec.label.endswith(".npy")
    return dataclasses.replace(
        spec,
        dataset=_path_there(spec.dataset, package) if is_file else spec.dataset,
        label=_path_there(str(spec.label), package) if in_label else spec.label,
        data_dir=_path_there(spec.data_dir, package) if spec.data_dir else None,
    )


def _path_there(text: str, package: Package | None) -> str:
    if "://" in text:
        return text
    # Links are left as they are: on other machines they may lead elsewhere.
    path = Path(os.path.abspath(Path(text).expanduser()))  # noqa: PTH100
    if package is not None and path.is_relative_to(package.folder):
        name = path.relative_to(package.folder).as_posix()
        if any(file == name or file.startswith(f"{name}/") for file, _ in package.files):
            return f"./{name}"
    return str(path)


def _write_down(request: Request, run: RunFolder, submission: Submission) -> None:
    """Write what was asked for, by whom and of which code, and that the run is queued."""
    check_unfinished(run)
    log = EventLog(path=run.events)
    asked: Mapping[str, Any] = read_json(run.spec) if run.spec.exists() else {}
    provenance = asked.get("provenance") or Provenance.collect(request.job.path).to_dict()
    write_json(run.spec, {**asked, "spec": request.spec.to_dict(), "provenance": provenance})
    write_json(run.submission, dataclasses.asdict(submission))
    write_secrets(run.secrets, request.spec.secrets)
    run.stop_request.unlink(missing_ok=True)
    state = log.state()
    if state is not None and not state.finished:
        log.append("state", state=RunState.LOST.value)
    log.append("state", state=RunState.QUEUED.value, at=datetime.now(UTC))


def _take_back(run: RunFolder, err: BaseException, *, is_new: bool) -> None:
    """Leave nothing of a new run that no cluster has taken; a resumed one goes back to rest."""
    write_secrets(run.secrets, ())
    if is_new:
        for path in (run.events, run.submission, run.spec, run.driver_lock):
            path.unlink(missing_ok=True)
        # Whoever asked for the run may have put something there as well.
        with contextlib.suppress(OSError):
            run.path.rmdir()
    elif EventLog(path=run.events).state() is RunState.QUEUED:
        log = EventLog(path=run.events)
        if isinstance(err, LaunchJobError):
            error = {"message": err.message, "hint": err.hint, "exit_code": err.exit_code}
            log.append("state", state=RunState.FAILED.value, error=error)
        else:
            log.append("state", state=RunState.STOPPED.value)
