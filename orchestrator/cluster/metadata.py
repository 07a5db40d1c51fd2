"""What a run's Ray job is known by: to the dashboard, and to other runs that wait for its room."""

from __future__ import annotations

from orchestrator.spec import RunSpec

#: The run that a job drives.
RUN_KEY = "launch_job_run"

#: What the dashboard's list of jobs shows as a job's name.
_NAME_KEY = "job_name"


def job_metadata(spec: RunSpec) -> dict[str, str]:
    """Return the metadata of a run's Ray job, whether it was submitted or its driver is here."""
    found = {RUN_KEY: spec.run_id, _NAME_KEY: spec.name or spec.run_id, "job": spec.job}
    return {**found, **({"tags": ", ".join(spec.tags)} if spec.tags else {})}
