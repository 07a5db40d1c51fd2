"""launch-job JOB: run a job; its typed parameters are the command's options."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, get_args

import click
from click.core import ParameterSource

from orchestrator.atomic import storage_errors
from orchestrator.catalog import Job, Parameter, load_catalog
from orchestrator.cli.options import (
    CheckpointEveryType,
    Way,
    WorkersType,
    cluster_options,
    output_option,
    storage_option,
)
from orchestrator.errors import UsageError
from orchestrator.spec import DEFAULT_STREAMS, Device, Precision, RunOptions
from orchestrator.storage import RunFolder, Storage

if TYPE_CHECKING:
    from orchestrator.cli.progress import TerminalProgress
    from orchestrator.request import Request
    from orchestrator.results.report import Report


#: Options of every run, in the order of the help.
_RUN_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "-w",
        "--workers",
        type=WorkersType(),
        default="1",
        show_default=True,
        help="Workers; 2:4 takes as many as there is room for, and more when there is more.",
    ),
    click.option(
        "--dataset",
        help="Dataset to train on, instead of the job's own: a name, or a file or folder of yours.",
    ),
    click.option("--label", help="Column to learn, where --dataset is a file."),
    click.option("--epochs", type=int, help="Passes over the training rows."),
    click.option("--batch-size", type=int, help="Rows of a global batch, over all workers."),
    click.option("--seed", type=int, default=0, show_default=True, help="Seed of all randomness."),
    click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "gpu"]),
        default="auto",
        show_default=True,
        help="What to compute on; auto takes GPUs if every worker can have one.",
    ),
    click.option(
        "--gpus",
        type=click.IntRange(0, 1),
        help="GPUs of each worker: 1 is --device gpu, 0 is --device cpu.",
    ),
    click.option(
        "--precision",
        type=click.Choice(get_args(Precision)),
        default="float32",
        show_default=True,
        help="What layers compute in; weights stay float32.",
    ),
    click.option("--jit", is_flag=True, help="Have XLA compile the forward and backward pass."),
    click.option(
        "--secret",
        "secrets",
        multiple=True,
        metavar="NAME",
        help="Environment variable that only the run's processes are to know; repeatable.",
    ),
    click.option(
        "--streams",
        type=int,
        default=DEFAULT_STREAMS,
        show_default=True,
        help="Streams that rows are dealt into: the most workers there can be.",
    ),
    click.option(
        "--retries",
        type=int,
        default=3,
        show_default=True,
        help="Failures of workers after which training goes on.",
    ),
    click.option(
        "--checkpoint-every",
        type=CheckpointEveryType(),
        default="epoch",
        show_default=True,
        help="Steps between checkpoints; there is one at the end of each epoch anyway.",
    ),
    click.option(
        "--keep",
        type=int,
        default=2,
        show_default=True,
        help="Newest checkpoints to keep, beside the best.",
    ),
    click.option(
        "--deterministic/--no-deterministic",
        default=None,
        help="Have TensorFlow give the same bits each time.  [default: on CPUs]",
    ),
    *cluster_options,
    click.option(
        "--wait",
        "wait_s",
        type=float,
        metavar="SECONDS",
        help="Give up if the cluster has no free workers after so long.  [default: never]",
    ),
    click.option("-n", "--name", help="A name for the run, shown by ls."),
    click.option(
        "--tag", "tags", multiple=True, help="A label to keep with its results; repeatable."
    ),
    click.option(
        "--data-dir",
        envvar="LAUNCH_JOB_DATA_DIR",
        show_envvar=True,
        help="Folder of the dataset's files; nothing is downloaded then.",
    ),
    storage_option,
    # Of a schedule's tick: whoever starts it knows what it is called, so that it starts once.
    click.option("--run-id", hidden=True),
    click.option("--dry-run", is_flag=True, help="Show the plan and start nothing."),
    click.option("-v", "--verbose", is_flag=True, help="Show the logs of all ranks."),
    output_option,
)


def job_command(job: Job) -> click.Command:
    """Return the command that runs a job."""

    def callback(**given: Any) -> None:
        params = {p.name: given.pop(_key(p)) for p in job.parameters}
        _run(job.name, params, **given)

    command = click.Command(
        job.name,
        callback=callback,
        help=f"{job.summary}\n\nTrains on {job.dataset} for {job.epochs} epochs with a global "
        f"batch of {job.batch_size} rows, unless told otherwise.",
        epilog=f"\b\nExamples:\n  launch-job {job.name} --workers 4"
        f"\n  launch-job {job.name} --workers 2 --epochs 1 --dry-run",
        params=[_option(p) for p in job.parameters],
    )
    options = _run_options()
    _check_reserved(job, {flag for option in options for flag in option.opts} | {"--help"})
    command.params += options
    return command


def _run_options() -> list[click.Parameter]:
    holder = click.Command("run")
    for option in _RUN_OPTIONS:
        option(holder)
    return holder.params


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    add_help_option=False,
    epilog="\b\nExample:\n  launch-job submit lstm-mnist --workers 4",
)
@click.argument("job")
@click.pass_context
def submit(ctx: click.Context, job: str) -> None:
    """Run JOB; `launch-job JOB` is the short form.

    `launch-job JOB --help` shows the job's parameters and the options of every run.
    """
    if job in ctx.help_option_names:
        click.echo(ctx.get_help())
        return
    command = job_command(load_catalog().jobs.get(job))
    command.main(ctx.args, prog_name=f"launch-job {job}", standalone_mode=False)


def check_run(job: str, args: Sequence[str]) -> None:
    """Check the options of a run that starts some other time, as its command line.

    Raises:
        UsageError: They can't be.
    """
    from orchestrator.request import check_request

    entry = load_catalog().jobs.get(job)
    with job_command(entry).make_context(f"launch-job {job}", list(args)) as ctx:
        given = ctx.params
        for option in ("run_id", "storage", "detach", "dry_run", "output"):
            if ctx.get_parameter_source(option) is ParameterSource.COMMANDLINE:
                raise UsageError(f"--{option.replace('_', '-')} is for a run that starts now.")
    params = {p.name: given.pop(_key(p)) for p in entry.parameters}
    least, most = given.pop("workers")
    given["device"] = _device(given["device"], given["gpus"])
    named = {key: given.pop(key) for key in ("dataset", "epochs", "batch_size")}
    options = {f.name: given[f.name] for f in dataclasses.fields(RunOptions) if f.name in given}
    check_request(
        job, RunOptions(workers=most, min_workers=least, **options), params=params, **named
    )


#: A job's parameter may be called like an option of every run; this keeps them apart.
_PREFIX = "param_"


def _key(parameter: Parameter) -> str:
    return _PREFIX + parameter.name


def _flag(parameter: Parameter) -> str:
    return f"--{parameter.name.replace('_', '-')}"


def _option(parameter: Parameter) -> click.Option:
    flag = _flag(parameter)
    switch = parameter.kind is bool
    return click.Option(
        [f"{flag}/--no-{flag[2:]}" if switch else flag, _key(parameter)],
        type=None if switch else _type(parameter),
        default=parameter.default,
        show_default=True,
        help=parameter.help,
    )


def _type(parameter: Parameter) -> Any:
    """Return the type that has Click show in the help, and check, what the parameter checks too."""
    if parameter.choices:
        return click.Choice(parameter.choices)
    bounds = parameter.bounds
    if not bounds.given():
        return parameter.kind
    number_range: Any = click.IntRange if parameter.kind is int else click.FloatRange
    return number_range(
        min=bounds.gt if bounds.ge is None else bounds.ge,
        min_open=bounds.gt is not None,
        max=bounds.lt if bounds.le is None else bounds.le,
        max_open=bounds.lt is not None,
    )


def _run(
    job: str,
    params: dict[str, Any],
    *,
    workers: tuple[int | None, int],
    dataset: str | None,
    epochs: int | None,
    batch_size: int | None,
    dry_run: bool,
    verbose: bool,
    output: str,
    storage: Storage,
    address: str | None,
    run_id: str | None,
    insecure: bool,
    install: bool,
    detach: bool,
    device: Device,
    gpus: int | None,
    **options: Any,
) -> None:
    from orchestrator.cli.progress import TerminalProgress
    from orchestrator.request import ReadyRequest, find_data, prepare_request

    observer = TerminalProgress(verbose=verbose)
    least, most = workers
    try:
        request = prepare_request(
            job,
            RunOptions(workers=most, min_workers=least, device=_device(device, gpus), **options),
            params=params,
            dataset=dataset,
            epochs=epochs,
            batch_size=batch_size,
            storage=storage,
            address=address,
            observer=observer,
            run_id=run_id,
        )
        if dry_run and address is not None:
            request = find_data(request, strict=True, observer=observer)
    finally:
        observer.close()
    if dry_run:
        from orchestrator.cli.plan import print_plan

        assert isinstance(request, ReadyRequest)
        print_plan(request, output)
    else:
        way = Way(insecure=insecure, install=install, detach=detach)
        follow(request, observer, output, way)


def _device(device: Device, gpus: int | None) -> Device:
    """Return what `--device` and `--gpus` ask for together."""
    if gpus is None:
        return device
    meant: Device = "gpu" if gpus else "cpu"
    if device not in ("auto", meant):
        raise UsageError(f"--gpus {gpus} and --device {device} are not the same.")
    return meant


def follow(request: Request, observer: TerminalProgress, output: str, way: Way) -> None:
    """Do a run and print how it ended."""
    if request.address is not None:
        from orchestrator.cli.follow import submit_and_follow

        submit_and_follow(request, observer, output, way)
        return
    if way.detach or way.install:
        what = "be detached" if way.detach else "have packages installed"
        raise UsageError(
            f"A run with a Ray of its own, on this machine, can't {what}.",
            hint="Submit it to a cluster (--address).",
        )
    from orchestrator.launcher import run_request
    from orchestrator.timeline import process_began_s

    try:
        with _stdout_for_data(request.storage.run(request.spec.run_id)):
            report = run_request(request, observer, began_s=process_began_s())
    finally:
        observer.close()
    print_result(report, request.storage, output)


def print_result(report: Report, storage: Storage, output: str) -> None:
    """Print how a run ended that has succeeded."""
    from orchestrator.cli.report import print_ending
    from orchestrator.cli.terminal import print_json

    if output == "json":
        print_json(report.to_dict())
    else:
        print_ending(report, storage)


@contextlib.contextmanager
def _stdout_for_data(run: RunFolder) -> Iterator[None]:
    """Keep standard output for the report: Ray prints there what happens to its processes."""
    with storage_errors(run.driver_log):
        run.driver_log.parent.mkdir(parents=True, exist_ok=True)
        log = run.driver_log.open("a")
    with log, contextlib.redirect_stdout(log):
        yield


def _check_reserved(job: Job, taken: set[str]) -> None:
    """Refuse a job whose parameter is called like an option of every run."""
    for parameter in job.parameters:
        if _flag(parameter) in taken:
            raise UsageError(
                f"{job.path}: parameter {parameter.name!r} is an option of every run.",
                hint="Call it something else.",
            )
