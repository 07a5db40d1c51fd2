"""--dry-run: what a run would do."""

from __future__ import annotations

from typing import Any

import click

from orchestrator.cli.terminal import print_json
from orchestrator.cluster.embedded import Machine
from orchestrator.launching.request import ReadyRequest


def print_plan(request: ReadyRequest, output: str) -> None:
    """Print the plan of a request, as text or JSON."""
    values = plan_values(request)
    if output == "json":
        print_json(values)
        return
    width = max(len(name) for name in values)
    for name, value in values.items():
        click.echo(f"{name.replace('_', ' '):<{width}}  {_text(value)}")


def plan_values(request: ReadyRequest) -> dict[str, Any]:
    """Return the plan of a request as JSON values."""
    plan, spec, machine = request.plan, request.spec, Machine.here()
    last = plan.steps_per_epoch - 1
    return {
        "job": spec.job,
        "params": dict(spec.params),
        "dataset": spec.dataset,
        "origin": request.origin,
        "train_rows": plan.rows,
        "test_rows": request.test_rows,
        "streams": plan.streams,
        "workers": plan.workers,
        "least_workers": spec.least_workers,
        "epochs": plan.epochs,
        "batch_size": plan.batch_size,
        "steps_per_epoch": plan.steps_per_epoch,
        "total_steps": plan.total_steps,
        "rows_per_worker_and_step": [
            plan.rows_of_worker(0, worker=worker) for worker in range(plan.workers)
        ],
        "rows_per_worker_in_last_step": [
            plan.rows_of_worker(last, worker=worker) for worker in range(plan.workers)
        ],
        **(
            {"place": f"the Ray cluster at {request.address}"}
            if request.address
            else {
                "place": "embedded Ray on this machine",
                "cores": machine.cores,
                "threads_per_worker": machine.threads_per_worker(plan.workers),
            }
        ),
        "device": spec.device,
        "retries": spec.retries,
        "checkpoint_every": spec.checkpoint_every or "epoch",
        "storage": str(request.storage),
        "notes": list(spec.notes),
    }


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={item}" for key, item in value.items()) or "–"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "–"
    return f"{value:,}" if isinstance(value, int) else str(value)
