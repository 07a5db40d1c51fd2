"""launch-job: the group of all verbs, and of all jobs, which are commands too.

Nothing is imported before it is needed: the help of the group costs what Click costs.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

import click

from orchestrator.cli.pipe import reader_may_go
from orchestrator.errors import LaunchJobError, UsageError

#: Verbs by section of the help: module, command in it, and one line of help.
SECTIONS: dict[str, dict[str, tuple[str, str, str]]] = {
    "Runs": {
        "submit": ("run", "submit", "Run a job; `launch-job JOB` is the short form."),
        "resume": ("resume", "resume", "Let a run go on that stopped, failed or was lost."),
        "stop": ("stop", "stop", "Stop a run, once a checkpoint holds what it has done."),
        "ls": ("ls", "ls", "List runs, newest first."),
        "status": ("status", "status", "Show the whole record of a run."),
        "logs": ("logs", "logs", "Print what a run has printed, and go on with -f."),
        "rm": ("rm", "rm", "Remove runs; what came out of them stays in the tables."),
        "reproduce": (
            "reproduce",
            "reproduce",
            "Do a run again; say whether it comes out the same.",
        ),
    },
    "Results": {
        "report": ("report", "report", "Show what came out of a run."),
        "results": ("results", "results", "Show the results of all runs, or ask them in SQL."),
        "compare": ("compare", "command", "Say how runs differ, and whether that is chance."),
        "tensorboard": ("tensorboard", "tensorboard", "Open TensorBoard on a run, or on all."),
    },
    "Catalogue and data": {
        "jobs": ("catalog", "jobs", "List what can be trained, with its parameters."),
        "datasets": ("catalog", "datasets", "List what it can be trained on."),
        "data": ("data", "data", "Look at datasets; prepare, list and remove their shards."),
        "init": ("init", "init", "Start a project of your own: a job, a dataset, a test."),
    },
    "Clusters": {
        "cluster": ("cluster", "cluster", "Bring a cluster up and down, or keep one warm."),
        "dashboard": ("dashboard", "dashboard", "Print or open the Ray dashboard of a cluster."),
        "doctor": ("doctor", "doctor", "Look at what runs need, here and on a cluster."),
        "export": ("export", "export_run", "Print a run as Kubernetes takes it."),
    },
    "Schedules": {
        "schedule": ("schedule", "schedule", "Run jobs at times; show what became of each tick."),
    },
    "Shell": {
        "completion": ("completion", "completion", "Print the shell's completion script."),
    },
}

#: All of them.
VERBS = {name: verb for verbs in SECTIONS.values() for name, verb in verbs.items()}

ALIASES = {"list": "ls", "ps": "ls", "cancel": "stop"}

_EPILOG = """\b
Examples:
  launch-job lstm-mnist --workers 4
  launch-job lstm-mnist --workers 2 --epochs 3 --units 128 --dry-run
  launch-job ls
  launch-job report latest
  launch-job results --job lstm-mnist -o json
"""


class LaunchJob(click.Group):
    """Finds verbs by name, then jobs of the catalogue."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Return a context; help is printed while it is made."""
        with reader_may_go():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was named."""
        with reader_may_go():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return every verb and job."""
        return [*VERBS, *_catalogue_names()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a verb or a job.

        Raises:
            UsageError: There is no such name; the nearest one is named.
        """
        name = ALIASES.get(cmd_name, cmd_name)
        if name in VERBS:
            module, attribute, _ = VERBS[name]
            command = getattr(importlib.import_module(f"orchestrator.cli.{module}"), attribute)
            assert isinstance(command, click.Command)
            return command
        try:
            return _job_command(name)
        except LaunchJobError:
            if ctx.resilient_parsing:
                return None  # The shell completes a line: no place to complain.
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section of the jobs, and those of the verbs."""
        from orchestrator.catalog import load_catalog

        shelf = load_catalog().jobs
        jobs = [(job.name, job.summary) for job in shelf.entries.values()]
        broken = [(name, "(can't be loaded)") for name in shelf.broken]
        with formatter.section("Jobs"):
            formatter.write_dl(sorted(jobs + broken))
        for heading, verbs in SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl([(name, help_) for name, (_, _, help_) in verbs.items()])


def _catalogue_names() -> list[str]:
    from orchestrator.catalog import load_catalog

    shelf = load_catalog().jobs
    return sorted([*shelf.entries, *shelf.broken])


def _job_command(name: str) -> click.Command:
    from orchestrator.catalog import load_catalog
    from orchestrator.cli.run import job_command

    shelf = load_catalog().jobs
    if name not in shelf.entries and name not in shelf.broken:
        near = difflib.get_close_matches(name, [*VERBS, *ALIASES, *shelf.entries], n=1)
        raise UsageError(
            f"There is no job and no command {name!r}.",
            hint=f"Did you mean {near[0]!r}?" if near else "`launch-job --help` lists them.",
        )
    return job_command(shelf.get(name))


def _print_version(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        click.echo(f"launch-job, version {version('launch-job')}")
    except PackageNotFoundError:
        click.echo("launch-job, not installed: run from its source")
    ctx.exit()


@click.group(
    cls=LaunchJob, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
@click.option("--debug", is_flag=True, help="Show tracebacks of errors.")
def cli(debug: bool) -> None:
    """Train Keras models on a Ray cluster: one command, exact results.

    A job without a cluster runs on an embedded Ray on this machine.
    """


def main(args: list[str] | None = None) -> NoReturn:
    """Run the command line and end the process with its exit code."""
    sys.exit(run(sys.argv[1:] if args is None else args))


def run(args: list[str]) -> int:
    """Run the command line; return its exit code."""
    return exit_code_of(
        lambda: cli.main(args, prog_name="launch-job", standalone_mode=False),
        debug="--debug" in args,
    )


def exit_code_of(call: Callable[[], Any], *, debug: bool) -> int:
    """Call something, say what goes wrong, and return the exit code that it makes."""
    try:
        result = call()
        return result if isinstance(result, int) else 0
    except LaunchJobError as err:
        if debug:
            traceback.print_exc()
        _complain(err.message, err.hint, err.details)
        return err.exit_code
    except click.ClickException as err:
        err.show()
        return err.exit_code
    except (click.Abort, KeyboardInterrupt):
        _complain("Interrupted.", None)
        return 130
    except Exception as err:  # noqa: BLE001 - the last boundary; --debug shows it whole
        if debug:
            traceback.print_exc()
        _complain(f"{type(err).__name__}: {err}", "This is a defect; --debug shows where it is.")
        return 1


def _complain(message: str, hint: str | None, details: tuple[str, ...] = ()) -> None:
    colour = None if "NO_COLOR" not in os.environ else False
    click.secho(f"Error: {message}", fg="red", err=True, color=colour)
    for line in details:
        click.secho(f"    {line}", dim=True, err=True, color=colour)
    if hint:
        click.secho(f"  {hint}", err=True, color=colour)


if __name__ == "__main__":
    main()
