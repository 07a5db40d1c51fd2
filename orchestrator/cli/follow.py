"""Submitting a run to a cluster, and following it until it ends or Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestrator.cli.terminal import chatter, print_json
from orchestrator.errors import LaunchJobError

if TYPE_CHECKING:
    from orchestrator.cli.options import Way
    from orchestrator.cli.progress import TerminalProgress
    from orchestrator.launching.request import Request
    from orchestrator.launching.submission import Submitted
    from orchestrator.observer import Observer
    from orchestrator.results.report import Report
    from orchestrator.storage.run_folder import RunFolder


class LeftAloneError(LaunchJobError):
    """The user follows a run no longer; it goes on."""

    exit_code = 130


def submit_and_follow(request: Request, observer: TerminalProgress, output: str, way: Way) -> None:
    """Submit a run; then follow it, or say how to.

    Raises:
        LeftAloneError: The user has followed it long enough.
        LaunchJobError: As the run's driver did.
    """
    from orchestrator.cli.run import print_result

    if not way.detach:
        print_result(submit_and_wait(request, observer, way), request.storage, output)
        return
    submitted = _submit(request, observer, way)
    _say_where(submitted.run)
    if output == "json":
        print_json({"run_id": submitted.run.run_id, "job_id": submitted.submission.job_id})


def submit_and_wait(request: Request, observer: TerminalProgress, way: Way) -> Report:
    """Submit a run, follow it until it ends, and return its report.

    Raises:
        LeftAloneError: The user has followed it long enough.
        LaunchJobError: As the run's driver did.
    """
    submitted = _submit(request, observer, way)
    try:
        return submitted.follow(observer)
    except KeyboardInterrupt as err:
        raise left_alone(submitted.run) from err
    finally:
        observer.close()


def _submit(request: Request, observer: TerminalProgress, way: Way) -> Submitted:
    from orchestrator.launching.submission import submit
    from orchestrator.records.timeline import process_began_s

    return submit(
        request, observer, began_s=process_began_s(), insecure=way.insecure, install=way.install
    )


def follow_run(
    run: RunFolder, observer: Observer, *, pause: Callable[[float], None] = time.sleep
) -> Report:
    """Follow a run that somebody drives, until it ends.

    Args:
        run: The run.
        observer: Told what happens.
        pause: Waits for so many seconds.

    Raises:
        LeftAloneError: The user has followed it long enough.
        LaunchJobError: As the run's driver did.
    """
    from orchestrator.follow import Follower
    from orchestrator.launching.submission import asker

    try:
        return Follower(run=run, observer=observer, ask=asker(run), pause=pause).follow()
    except KeyboardInterrupt as err:
        raise left_alone(run) from err


def left_alone(run: RunFolder) -> LeftAloneError:
    """Return what there is to say to whoever leaves a run that goes on."""
    return LeftAloneError(
        f"Run {run.run_id} goes on without you.",
        hint=f"`launch-job status -f {run.run_id}` comes back to it; "
        f"`launch-job stop {run.run_id}` stops it.",
    )


def _say_where(run: RunFolder) -> None:
    chatter().print(f"Follow  launch-job status -f {run.run_id}", markup=False)
    chatter().print(f"        launch-job logs -f {run.run_id}", markup=False)
    chatter().print(f"Stop    launch-job stop {run.run_id}", markup=False)
