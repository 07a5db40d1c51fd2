"""launch-job tensorboard [RUN]: TensorBoard on what runs have written for it."""

from __future__ import annotations

import os
import sys

import click

from orchestrator.cli.options import optional_run_argument, storage_option
from orchestrator.cli.terminal import chatter
from orchestrator.errors import UsageError
from orchestrator.storage.storage import Storage


@click.command(
    epilog="\b\nExamples:\n  launch-job tensorboard latest\n  launch-job tensorboard --port 7007"
)
@optional_run_argument
@click.option(
    "--port", type=click.IntRange(0, 65535), default=6006, show_default=True, help="Port it has."
)
@storage_option
def tensorboard(run: str | None, port: int, storage: Storage) -> None:
    """Open TensorBoard on RUN, or on all runs; Ctrl-C ends it.

    It listens on this machine only. The folders are plain event files: `tensorboard --logdir` on
    another machine reads them as well.
    """
    folder = storage.find_run(run).tensorboard if run else storage.runs
    if not folder.is_dir():
        raise UsageError(
            f"There are no event files in {folder}.", hint="They come with the first epoch."
        )
    chatter().print(f"Event files: {folder}", markup=False)
    # In place of this process, so that signals and the exit code are TensorBoard's.
    program = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder)]
    os.execv(sys.executable, [*program, "--host", "127.0.0.1", "--port", str(port)])
