"""launch-job JOB: run a job; its typed parameters are the command's options."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from orchestrator.catalog import Job, Parameter, load_catalog
from orchestrator.cli.options import Way
from orchestrator.cli.run_options import RUN_OPTIONS
from orchestrator.cli.sections import SectionedCommand
from orchestrator.errors import UsageError
from orchestrator.spec import Device, RunOptions
from orchestrator.storage.atomic import storage_errors
from orchestrator.storage.run_folder import RunFolder
from orchestrator.storage.storage import Storage

if TYPE_CHECKING:
    from orchestrator.cli.progress import TerminalProgress
    from orchestrator.launching.request import Request
    from orchestrator.results.report import Report


def job_command(job: Job) -> click.Command:
    """Return the command that runs a job."""

    def callback(**given: Any) -> None:
        params = {p.name: given.pop(_key(p)) for p in job.parameters}
        _run(job.name, params, **given)

    options = _run_options()
    given = [option for group in options.values() for option in group]
    _check_reserved(job, {flag for option in given for flag in option.opts} | {"--help"})
    return SectionedCommand(
        job.name,
        sections={"Options of this job": [_option(p) for p in job.parameters], **options},
        callback=callback,
        help=f"{job.summary}\n\nTrains on {job.dataset} for {job.epochs} epochs with a global "
        f"batch of {job.batch_size} rows, unless told otherwise.",
        epilog=f"\b\nExamples:\n  launch-job {job.name} --workers 4"
        f"\n  launch-job {job.name} --workers 2 --epochs 1 --dry-run",
    )


def _run_options() -> dict[str, list[click.Parameter]]:
    """Return the options of every run, by section of the help."""
    sections = {}
    for heading, group in RUN_OPTIONS.items():
        holder = click.Command("run")
        for option in group:
            option(holder)
        sections[heading] = holder.params
    return sections


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
    from orchestrator.launching.request import check_request

    entry = load_catalog().jobs.get(job)
    with job_command(entry).make_context(f"launch-job {job}", list(args)) as ctx:
        given = ctx.params
        for option in ("run_id", "storage", "detach", "dry_run", "output"):
            if ctx.get_parameter_source(option) is ParameterSource.COMMANDLINE:
                raise UsageError(f"--{option.replace('_', '-')} is for a run that starts now.")
    params = {p.name: given.pop(_key(p)) for p in entry.parameters}
    named = {key: given.pop(key) for key in ("dataset", "epochs", "batch_size")}
    check_request(job, _take_options(given), params=params, **named)


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


def _take_options(given: dict[str, Any]) -> RunOptions:
    """Take, from what a command line gives, what any run has; the rest says which, and where."""
    least, most = given.pop("workers")
    device = _device(given.pop("device"), given.pop("gpus"))
    names = [field.name for field in dataclasses.fields(RunOptions) if field.name in given]
    options = {name: given.pop(name) for name in names}
    return RunOptions(workers=most, min_workers=least, device=device, **options)


def _run(
    job: str,
    params: dict[str, Any],
    *,
    dry_run: bool,
    verbose: bool,
    output: str,
    insecure: bool,
    install: bool,
    detach: bool,
    **given: Any,
) -> None:
    from orchestrator.cli.progress import TerminalProgress
    from orchestrator.launching.request import ReadyRequest, find_data, prepare_request

    options = _take_options(given)
    observer = TerminalProgress(verbose=verbose)
    try:
        request = prepare_request(job, options, params=params, observer=observer, **given)
        if dry_run and request.address is not None:
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
    print_result(drive(request, observer), request.storage, output)


def print_result(report: Report, storage: Storage, output: str) -> None:
    """Print how a run ended that has succeeded."""
    from orchestrator.cli.report import print_ending
    from orchestrator.cli.terminal import print_json

    if output == "json":
        print_json(report.to_dict())
    else:
        print_ending(report, storage)


def drive(request: Request, observer: TerminalProgress) -> Report:
    """Do a run with a Ray of its own, and return its report."""
    from orchestrator.launching.launcher import run_request
    from orchestrator.records.timeline import process_began_s

    try:
        with _stdout_for_data(request.storage.run(request.spec.run_id)):
            return run_request(request, observer, began_s=process_began_s())
    finally:
        observer.close()


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
