"""launch-job export and schedule export: runs and schedules for other schedulers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.options import schedule_argument, storage_option
from orchestrator.cli.run import check_run
from orchestrator.cli.terminal import chatter
from orchestrator.errors import UsageError
from orchestrator.schedule.export.airflow import to_airflow
from orchestrator.schedule.export.cron import to_cron
from orchestrator.schedule.export.exported import Exported, to_yaml
from orchestrator.schedule.export.kubernetes import to_kubernetes
from orchestrator.schedule.export.rayjob import Pods, rayjob, rayjob_spec
from orchestrator.schedule.export.systemd import to_systemd
from orchestrator.schedule.keeper import named_dataset, option
from orchestrator.schedule.shelf import Shelf
from orchestrator.storage.storage import Storage


def _pod_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option_ in (
        click.option("--claim", help="PersistentVolumeClaim of the storage, for Kubernetes."),
        click.option("--image", help="Image with launch-job and the project, for Kubernetes."),
    ):
        command = option_(command)
    return command


@click.command(
    epilog="\b\nExamples:"
    "\n  launch-job schedule export nightly --to systemd --directory ~/.config/systemd/user"
    "\n  launch-job schedule export nightly --to cron | crontab -"
    "\n  launch-job schedule export nightly --to kubernetes --image team/train:1 --claim runs"
    "\n  launch-job schedule export nightly --to airflow --directory dags"
)
@schedule_argument
@click.option(
    "--to",
    "target",
    type=click.Choice(["systemd", "cron", "kubernetes", "airflow"]),
    required=True,
    help="The scheduler that is to fire it.",
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write the files to, instead of printing them.",
)
@_pod_options
@click.option("--namespace", default="default", show_default=True, help="For Kubernetes.")
@click.option(
    "--kubectl-image", help="Image with sh and kubectl, where Kubernetes needs a CronJob."
)
@storage_option
def export(
    name: str,
    target: str,
    directory: Path | None,
    image: str | None,
    claim: str | None,
    namespace: str,
    kubectl_image: str | None,
    storage: Storage,
) -> None:
    """Write NAME as another scheduler takes it.

    What that one can't do is told. There it fires whether or not `schedule start` runs here: pause
    or remove it here, or it fires twice.
    """
    schedule = Shelf(storage=storage).read(name)
    if target == "kubernetes":
        pods = _pods(schedule.args, image=image, claim=claim)
        exported = to_kubernetes(
            schedule, storage, pods=pods, namespace=namespace, kubectl_image=kubectl_image
        )
    else:
        to = {"systemd": to_systemd, "cron": to_cron, "airflow": to_airflow}[target]
        exported = to(schedule, storage)
    _give(exported, directory)
    for note in exported.notes:
        chatter().print(f"{name}: {note}", style="yellow", markup=False)
    if schedule.paused_at is None:
        chatter().print(
            f"`launch-job schedule pause {name}`, if a loop runs here too: or it fires twice."
        )


@click.command(
    "export",
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    epilog="\b\nExample:"
    "\n  launch-job export lstm-mnist --to rayjob --image team/train:1 --claim runs --workers 4",
)
@click.argument("job")
@click.option("--to", "target", type=click.Choice(["rayjob"]), required=True, help="What for.")
@_pod_options
@storage_option
@click.pass_context
def export_run(
    ctx: click.Context,
    /,
    job: str,
    target: str,
    image: str | None,
    claim: str | None,
    storage: Storage,
) -> None:
    """Print a run of JOB as a RayJob of KubeRay, for `kubectl create -f -`.

    Takes any option of a run; `launch-job JOB --help` shows them.
    """
    check_run(job, ctx.args)
    words = [job, *ctx.args, *named_dataset(job, ctx.args, Path.cwd())]
    spec = rayjob_spec(words, pods=_pods(ctx.args, image=image, claim=claim), storage=storage)
    click.echo(to_yaml(rayjob(job, spec)), nl=False)


def _pods(args: Any, *, image: str | None, claim: str | None) -> Pods:
    if image is None or claim is None:
        raise UsageError(
            f"Kubernetes needs --{'claim' if image else 'image'}.",
            hint="--image names an image with launch-job and the project in it, --claim the "
            "PersistentVolumeClaim of the storage.",
        )
    workers = option(args, "--workers") or option(args, "-w") or "1"
    return Pods(
        image=image,
        claim=claim,
        workers=int(workers.rpartition(":")[2]),
        gpus=option(args, "--device") == "gpu" or option(args, "--gpus") == "1",
    )


def _give(exported: Exported, directory: Path | None) -> None:
    for name, content in exported.files.items():
        if directory is None:
            if len(exported.files) > 1:
                click.echo(f"# {name}")
            click.echo(content, nl=False)
        else:
            try:
                directory.mkdir(parents=True, exist_ok=True)
                (directory / name).write_text(content)
            except OSError as err:
                raise UsageError(f"Can't write {directory / name}: {err.strerror}.") from err
            click.echo(directory / name)
