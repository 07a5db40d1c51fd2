"""Submitting a run to a cluster, and following it until it ends or Ctrl-C."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.cli.terminal import chatter, print_json
from orchestrator.errors import LaunchJobError

if TYPE_CHECKING:
    from orchestrator.cli.progress import TerminalProgress
    from orchestrator.request import Request
    from orchestrator.storage import RunFolder


class LeftAloneError(LaunchJobError):
    """The user follows a run no longer; it goes on."""

    exit_code = 130


def submit_and_follow(
    request: Request, observer: TerminalProgress, output: str, *, insecure: bool, detach: bool
) -> None:
    """Submit a run; then follow it, or say how to.

    Raises:
        LeftAloneError: The user has followed it long enough.
        LaunchJobError: As the run's driver did.
    """
    from orchestrator.cli.run import print_result
    from orchestrator.submission import submit

    submitted = submit(request, observer, insecure=insecure)
    if detach:
        _say_where(submitted.run)
        if output == "json":
            print_json({"run_id": submitted.run.run_id, "job_id": submitted.submission.job_id})
        return
    try:
        report = submitted.follow(observer)
    except KeyboardInterrupt as err:
        raise left_alone(submitted.run) from err
    finally:
        observer.close()
    print_result(report, request.storage, output)


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
