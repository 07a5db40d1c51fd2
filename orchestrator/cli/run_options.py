"""The options of every run, whatever its job."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args

import click

from orchestrator.cli.options import (
    CheckpointEveryType,
    WorkersType,
    cluster_options,
    output_option,
    storage_option,
)
from orchestrator.spec import DEFAULT_STREAMS, Precision

#: Options of every run, by section of the help, in their order.
RUN_OPTIONS: Mapping[str, tuple[Callable[[Any], Any], ...]] = {
    "Training": (
        click.option(
            "-w",
            "--workers",
            type=WorkersType(),
            default="1",
            show_default=True,
            help="Workers; 2:4 takes as many as there is room for, and more when there is more.",
        ),
        click.option("--epochs", type=int, help="Passes over the training rows."),
        click.option("--batch-size", type=int, help="Rows of a global batch, over all workers."),
        click.option(
            "--seed", type=int, default=0, show_default=True, help="Seed of all randomness."
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
            "--deterministic/--no-deterministic",
            default=None,
            help="Have TensorFlow give the same bits each time.  [default: on CPUs]",
        ),
    ),
    "Data": (
        click.option(
            "--dataset",
            help="Dataset to train on, instead of the job's own: a name, or a file or folder of "
            "yours.",
        ),
        click.option("--label", help="Column to learn, where --dataset is a file."),
        click.option(
            "--data-dir",
            envvar="LAUNCH_JOB_DATA_DIR",
            show_envvar=True,
            help="Folder of the dataset's files; nothing is downloaded then.",
        ),
        click.option(
            "--streams",
            type=int,
            default=DEFAULT_STREAMS,
            show_default=True,
            help="Streams that rows are dealt into: the most workers there can be.",
        ),
    ),
    "Failures and checkpoints": (
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
    ),
    "Where it runs": (
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
        *cluster_options,
        click.option(
            "--wait",
            "wait_s",
            type=float,
            metavar="SECONDS",
            help="Give up if the cluster has no free workers after so long.  [default: never]",
        ),
        click.option(
            "--secret",
            "secrets",
            multiple=True,
            metavar="NAME",
            help="Environment variable that only the run's processes are to know; repeatable.",
        ),
    ),
    "What is kept, and shown": (
        click.option("-n", "--name", help="A name for the run, shown by ls."),
        click.option(
            "--tag", "tags", multiple=True, help="A label to keep with its results; repeatable."
        ),
        storage_option,
        # Of a schedule's tick: whoever starts it knows what it is called, so that it starts once.
        click.option("--run-id", hidden=True),
        click.option("--dry-run", is_flag=True, help="Show the plan and start nothing."),
        click.option("-v", "--verbose", is_flag=True, help="Show the logs of all ranks."),
        output_option,
    ),
}
