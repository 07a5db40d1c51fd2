"""Measuring every node of a cluster, by a job there."""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
import shlex
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from orchestrator.cluster.condition import Condition, measure
from orchestrator.cluster.jobs import JobsApi
from orchestrator.errors import UnavailableError
from orchestrator.storage.atomic import storage_errors
from orchestrator.storage.storage import Storage

#: How long a job may take to look at all nodes.
_EXAMINE_S = 120.0

#: How the line begins that the job tells all in.
_ANSWER = "launch-job examination: "


def examine(
    jobs: JobsApi, storage: Storage, archive: Path | None
) -> tuple[dict[str, Condition | str], dict[str, float]]:
    """Have a job measure all nodes.

    Args:
        jobs: The cluster.
        storage: What all nodes should share with this machine.
        archive: The packed project, which brings launch-job where the project is launch-job.

    Returns:
        What was measured on each node, by address, or why nothing could be; and how far each clock
        is ahead of the head's, in seconds.

    Raises:
        UnavailableError: The job failed, or took too long.
    """
    storage.check_writable()
    job_id = f"doctor-{secrets.token_hex(4)}"
    with (
        storage_errors(storage.runs),
        tempfile.NamedTemporaryFile(dir=storage.runs, prefix=".doctor.") as mark,
    ):
        os.chmod(mark.name, 0o644)
        command = ["python", "-m", __name__, str(storage.path), mark.name]
        jobs.submit(job_id, shlex.join(command), working_dir=archive, metadata={}, runtime_env={})
        printed = _await(jobs, job_id)
    for line in printed:
        if line.startswith(_ANSWER):
            return _read(json.loads(line.removeprefix(_ANSWER)))
    raise UnavailableError("The cluster can't look at its nodes. It said last:", details=printed)


def _await(jobs: JobsApi, job_id: str) -> tuple[str, ...]:
    until = time.monotonic() + _EXAMINE_S
    while jobs.status(job_id) in ("PENDING", "RUNNING"):
        if time.monotonic() > until:
            jobs.stop(job_id)
            raise UnavailableError(f"The cluster has not looked at its nodes in {_EXAMINE_S:g} s.")
        time.sleep(0.2)
    return jobs.last_lines(job_id)


def _read(answer: dict[str, Any]) -> tuple[dict[str, Condition | str], dict[str, float]]:
    nodes: dict[str, Condition | str] = {}
    for address, found in answer["nodes"].items():
        if isinstance(found, str):
            nodes[address] = found
        else:
            nodes[address] = Condition(**{**found, "gpus": tuple(found["gpus"])})
    return nodes, answer["skews_s"]


def main(storage: str, mark: str) -> None:
    """Measure all nodes, as the job: print what was found in one line."""
    import ray

    ray.init(address="auto", log_to_driver=False, configure_logging=False)
    nodes: dict[str, Any] = {}
    skews: dict[str, float] = {}
    for node in ray.nodes():
        if not node["Alive"]:
            continue
        address = node["NodeManagerAddress"]
        try:
            found, skews[address] = _measure_there(node["NodeID"], storage, mark)
            nodes[address] = dataclasses.asdict(found)
        except Exception as err:  # noqa: BLE001 - whatever a node can't do, it is named
            nodes[address] = (str(err).strip().splitlines() or [type(err).__name__])[-1]
    print(_ANSWER + json.dumps({"nodes": nodes, "skews_s": skews}), flush=True)


def _measure_there(node_id: str, storage: str, mark: str) -> tuple[Condition, float]:
    """Measure a node twice: the first time, a process has to be started there."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task: Any = ray.remote(num_cpus=0, max_retries=0)(measure)
    there = NodeAffinitySchedulingStrategy(node_id, soft=False)
    for _ in range(2):
        asked = time.time()
        found: Condition = ray.get(
            task.options(scheduling_strategy=there).remote(storage, mark), timeout=60
        )
        answered = time.time()
    # It read its clock at some time between the question and the answer.
    return found, found.time_s - (asked + answered) / 2


if __name__ == "__main__":
    main(*sys.argv[1:])
