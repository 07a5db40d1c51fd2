"""A cluster's Jobs API: what is submitted to it, and what it knows of that.

Ray's job list is a list of what lives on this head, and no record: it goes with the head, a job
that was stopped before it began stays pending, and one that was deleted may come back. So nothing
here is asked for what a run's folder tells.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator.cluster.admission import show_token, token_hint
from orchestrator.cluster.token import has_token
from orchestrator.errors import LaunchJobError, UnavailableError, UsageError
from orchestrator.follow import Vital

#: How long the dashboard may take to answer.
_ANSWER_S = 10.0

#: Of what a job printed, lines that are told where it ended without another word.
_LAST_LINES = 12

#: A job whose driver is told to stop by Ray has this long to write a checkpoint; Ray gives it 3 s.
_STOP_S = 90


class JobsApi:
    """The Jobs API of one cluster.

    Args:
        url: Address of the cluster's dashboard, `http://host:port`.
        insecure: Whether a cluster is accepted that lets everybody in.

    Raises:
        UnavailableError: It does not answer, or wants another token.
        UsageError: It lets everybody in.
    """

    def __init__(self, url: str, *, insecure: bool = False) -> None:
        self.url = url.rstrip("/")
        self._check(insecure=insecure)
        show_token()
        # The client would take this cluster instead of the one that it is given.
        named = os.environ.pop("RAY_ADDRESS", None)
        from ray.job_submission import JobSubmissionClient

        for chatty in ("ray.dashboard.modules.dashboard_sdk", "ray._private.runtime_env.packaging"):
            logging.getLogger(chatty).setLevel(logging.WARNING)
        try:
            with self._errors():
                self._client = JobSubmissionClient(self.url)
        finally:
            if named is not None:
                os.environ["RAY_ADDRESS"] = named

    def submit(
        self,
        job_id: str,
        entrypoint: str,
        *,
        working_dir: Path | None,
        metadata: Mapping[str, str],
        runtime_env: Mapping[str, Any],
    ) -> None:
        """Submit a job; one of this id that is there already is taken for this one.

        Args:
            job_id: Its identifier, which no other job of the cluster has.
            entrypoint: The shell's command line that is run on the head.
            working_dir: A ZIP archive of the folder that it is run in.
            metadata: What the dashboard shows of it.
            runtime_env: What it needs besides, in Ray's terms.

        Raises:
            UnavailableError: The cluster does not take it.
        """
        env = {
            **runtime_env,
            "env_vars": {
                "RAY_JOB_STOP_WAIT_TIME_S": str(_STOP_S),
                **runtime_env.get("env_vars", {}),
            },
            **({"working_dir": str(working_dir)} if working_dir else {}),
        }
        try:
            with self._errors():
                self._client.submit_job(
                    entrypoint=entrypoint,
                    submission_id=job_id,
                    metadata=dict(metadata),
                    runtime_env=env,
                )
        except LaunchJobError:
            # The answer may have got lost, and not the question.
            if self.status(job_id) is None:
                raise

    def status(self, job_id: str) -> str | None:
        """Return a job's status, such as RUNNING; None where the cluster knows of no such job.

        Raises:
            UnavailableError: The cluster does not answer.
        """
        with self._errors():
            try:
                return str(self._client.get_job_status(job_id).value)
            except RuntimeError as err:
                if "404" in str(err):
                    return None
                raise

    def vital(self, job_id: str) -> tuple[Vital, tuple[str, ...]]:
        """Say whether a job is about to start or goes on; if not, what it printed last."""
        try:
            status = self.status(job_id)
            if status in ("PENDING", "RUNNING"):
                return Vital.ALIVE, ()
            return Vital.GONE, self.last_lines(job_id) if status else ()
        except LaunchJobError:
            return Vital.UNKNOWN, ()

    def stop(self, job_id: str) -> None:
        """Tell Ray to end a job; one that hasn't begun, it lets begin nevertheless.

        Raises:
            UnavailableError: The cluster does not answer.
        """
        with self._errors():
            self._client.stop_job(job_id)

    def last_lines(self, job_id: str) -> tuple[str, ...]:
        """Return the last lines that a job printed, and why Ray says that it failed."""
        with self._errors():
            printed = self._client.get_job_logs(job_id).splitlines()
            told = self._client.get_job_info(job_id).message or ""
        lines = [line.rstrip() for line in printed if line.strip()] or told.splitlines()
        return tuple(lines[-_LAST_LINES:])

    def _check(self, *, insecure: bool) -> None:
        """Ask the dashboard, without a token, whether it wants one."""
        import requests

        try:
            answer = requests.get(f"{self.url}/api/version", timeout=_ANSWER_S)
        except requests.RequestException as err:
            raise UnavailableError(
                f"No Ray dashboard answers at {self.url}: {_reason(err)}.",
                hint="`ray status` on the head shows whether the cluster is up; a dashboard on its "
                "loopback needs a tunnel (`ssh -L 8265:127.0.0.1:8265 HEAD`).",
            ) from err
        if answer.status_code in (401, 403):
            if not has_token():
                raise UnavailableError(
                    f"The Ray cluster at {self.url} wants a token from this machine.",
                    hint=token_hint(),
                )
            return
        if answer.status_code != 200 or "ray_version" not in answer.text:
            raise UnavailableError(
                f"What answers at {self.url} is no Ray dashboard (HTTP {answer.status_code}).",
                hint="Its address ends with its port, 8265 unless it was told another one.",
            )
        if not insecure:
            raise UsageError(
                f"The Ray cluster at {self.url} lets everybody in who reaches it, without a token.",
                hint="Start it with RAY_AUTH_MODE=token (docs/clusters.md), or say --insecure.",
            )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn what the client raises into errors that say what to do.

        Raises:
            UnavailableError: Whatever it raised.
        """
        import requests
        from ray.exceptions import AuthenticationError

        try:
            yield
        except AuthenticationError as err:
            raise UnavailableError(
                f"The Ray cluster at {self.url} has another token than this machine.",
                hint=token_hint(),
            ) from err
        except (ConnectionError, requests.RequestException) as err:
            raise UnavailableError(f"The Ray cluster at {self.url} does not answer.") from err
        except RuntimeError as err:
            raise UnavailableError(
                f"The Ray cluster at {self.url} refuses: {_first_line(str(err))}"
            ) from err


def _reason(err: Exception) -> str:
    text = str(err)
    for reason in ("Connection refused", "Name or service not known", "timed out", "No route"):
        if reason in text:
            return reason.lower()
    return type(err).__name__


def _first_line(text: str) -> str:
    """Return the line of an answer that says what is wrong: the last one of a traceback."""
    lines = [line.strip() for line in text.replace("\\n", "\n").splitlines() if line.strip()]
    return lines[-1] if "Traceback" in text and lines else (lines[0] if lines else text)
