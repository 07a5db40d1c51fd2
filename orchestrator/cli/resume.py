"""launch-job resume RUN: a run that stopped, failed or was lost goes on."""

from __future__ import annotations

import click

from orchestrator.cli.options import (
    Way,
    WorkersType,
    cluster_options,
    output_option,
    run_argument,
    storage_option,
    with_options,
)
from orchestrator.storage.storage import Storage


@click.command(
    epilog="\b\nExamples:\n  launch-job resume latest\n  launch-job resume 4f2a1c --workers 2"
)
@run_argument
@click.option(
    "-w", "--workers", type=WorkersType(), help="Workers from here on, instead of those it had."
)
@click.option(
    "--restart", is_flag=True, help="Start anew if all checkpoints of the run are damaged."
)
@with_options(cluster_options)
@storage_option
@click.option("-v", "--verbose", is_flag=True, help="Show the logs of all ranks.")
@output_option
def resume(
    run: str,
    workers: tuple[int | None, int] | None,
    restart: bool,
    address: str | None,
    insecure: bool,
    install: bool,
    detach: bool,
    storage: Storage,
    verbose: bool,
    output: str,
) -> None:
    """Let RUN go on from its newest whole checkpoint.

    With the same number of workers it ends with the weights that it would have had undisturbed, to
    the last bit. Another number of workers takes the same batches.
    """
    from orchestrator.cli.progress import TerminalProgress
    from orchestrator.cli.run import follow
    from orchestrator.launching.request import prepare_resumption

    observer = TerminalProgress(verbose=verbose)
    least, most = workers or (None, None)
    try:
        request = prepare_resumption(
            storage.find_run(run),
            workers=most,
            min_workers=least,
            restart=restart,
            storage=storage,
            address=address,
            observer=observer,
        )
    finally:
        observer.close()
    way = Way(insecure=insecure, install=install, detach=detach)
    follow(request, observer, output, way)
