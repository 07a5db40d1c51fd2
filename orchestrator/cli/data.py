"""launch-job data: look at datasets, prepare them, list and remove what is prepared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.catalog import load_catalog
from orchestrator.cli.options import output_option, storage_option
from orchestrator.cli.table import print_table
from orchestrator.cli.terminal import chatter, print_json
from orchestrator.cluster.package import size_text
from orchestrator.figures import ago
from orchestrator.spec import DEFAULT_STREAMS, dataset_name
from orchestrator.storage.storage import Storage

if TYPE_CHECKING:
    from orchestrator.data.prepared import Prepared
    from orchestrator.data.summary import ColumnSummary, Summary
    from orchestrator.launching.sources import SourceRequest

#: Classes that are listed one by one.
_MOST_CLASSES = 30


@click.group(
    epilog="\b\nExamples:\n  launch-job data inspect people.csv --label buys"
    "\n  launch-job data prepare mnist\n  launch-job data ls\n  launch-job data rm mnist"
)
def data() -> None:
    """Look at datasets, prepare them, list and remove what is prepared.

    A run prepares its dataset by itself; here it can be done before, and looked at.
    """


def _source_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option(
            "--data-dir",
            envvar="LAUNCH_JOB_DATA_DIR",
            show_envvar=True,
            help="Folder of the dataset's files; nothing is downloaded then.",
        ),
        click.option("--job", help="Bring rows into the form that this job takes."),
        click.option("--label", help="Column to learn, where DATASET is a file."),
        click.argument("dataset"),
    ):
        command = option(command)
    return command


@data.command(
    epilog="\b\nExamples:\n  launch-job data inspect mnist"
    "\n  launch-job data inspect people.csv --label buys -o json"
)
@_source_options
@output_option
def inspect(output: str, **named: Any) -> None:
    """Show columns, classes and splits of DATASET: a name, or a file or folder of yours."""
    from orchestrator.cli.progress import TerminalProgress
    from orchestrator.data.summary import summarise

    observer = TerminalProgress()
    try:
        source = _request(**named).find(load_catalog(), observer.progress)
        summary = summarise(
            source,
            lambda split, done, rows: observer.progress(f"Reading {split}", done, rows),
        )
    finally:
        observer.close()
    if output == "json":
        print_json(
            {
                "origin": source.origin,
                "label": source.label.name,
                "rows": {name: split.rows for name, split in source.splits.items()},
                "columns": [column.to_dict() for column in summary.columns],
                "classes": summary.classes,
            }
        )
        return
    rows = ", ".join(f"{split.rows:,} {name}" for name, split in source.splits.items())
    click.echo(f"{source.origin}: {rows} rows; learns {source.label.name!r}\n")
    print_table(
        ("COLUMN", "TYPE", "SHAPE", ">MISSING", ">LEAST", ">MOST", ">WORDS"),
        [_column_row(column) for column in summary.columns],
        empty="There are no columns.",
    )
    click.echo()
    _print_classes(summary)


@data.command(
    epilog="\b\nExamples:\n  launch-job data prepare mnist"
    "\n  launch-job data prepare series.csv --label kind --job lstm-sequence"
)
@_source_options
@click.option(
    "--streams",
    type=click.IntRange(min=1),
    default=DEFAULT_STREAMS,
    show_default=True,
    help="Streams that rows are dealt into: the most workers there can be.",
)
@storage_option
@output_option
def prepare(streams: int, storage: Storage, output: str, **named: Any) -> None:
    """Write the Arrow shards of DATASET, which runs then find ready."""
    from orchestrator.cli.progress import TerminalProgress
    from orchestrator.data.prepare import prepare as write

    request = _request(**named)
    observer = TerminalProgress()
    try:
        storage.check_writable()
        prepared = write(
            dataset_name(request.dataset),
            request.find(load_catalog(), observer.progress),
            streams=streams,
            storage=storage,
            progress=lambda split, done, rows: observer.progress(
                f"Sharding {request.dataset} ({split})", done, rows
            ),
        )
    finally:
        observer.close()
    manifest = prepared.manifest
    if output == "json":
        rows = {split: manifest.rows(split) for split in manifest.splits}
        values = {"fingerprint": manifest.fingerprint, "rows": rows, "cached": prepared.cached}
        print_json({**values, "folder": prepared.where})
        return
    total = sum(manifest.rows(split) for split in manifest.splits)
    was = "were there already" if prepared.cached else f"written in {manifest.streams} streams"
    click.echo(f"{total:,} rows {was}: {prepared.where}")


@data.command(epilog="\b\nExamples:\n  launch-job data ls\n  launch-job data ls -o json")
@storage_option
@output_option
def ls(storage: Storage, output: str) -> None:
    """List prepared datasets."""
    from orchestrator.data.prepared import list_prepared

    found = list_prepared(storage)
    if output == "json":
        print_json([prepared.to_dict() for prepared in found])
        return
    print_table(
        ("DATASET", "FINGERPRINT", "STATE", ">ROWS", ">STREAMS", ">SIZE", "PREPARED", "FROM"),
        [_prepared_row(prepared) for prepared in found],
        spare=("FROM", "STREAMS", "PREPARED"),
        empty=f"Nothing is prepared in {storage} yet; runs do that by themselves.",
    )


@data.command(epilog="\b\nExamples:\n  launch-job data rm mnist\n  launch-job data rm 5f0c2b")
@click.argument("dataset")
@storage_option
def rm(dataset: str, storage: Storage) -> None:
    """Remove prepared shards: all of DATASET, or those of one fingerprint.

    A run that needs them prepares them anew; of rows that were given in memory there is no other
    copy.
    """
    from orchestrator.data.prepared import remove_prepared

    for prepared in remove_prepared(storage, dataset):
        freed = size_text(prepared.size_bytes)
        chatter().print(f"Removed {prepared.name} {prepared.fingerprint}: {freed}", markup=False)


def _request(
    *, dataset: str, label: str | None, job: str | None, data_dir: str | None
) -> SourceRequest:
    from orchestrator.launching.sources import SourceRequest

    return SourceRequest(
        dataset=dataset,
        label=label,
        shape=load_catalog().jobs.get(job).shape if job else None,
        data_dir=Path(data_dir).expanduser().absolute() if data_dir else None,
    ).located(load_catalog())


def _column_row(summary: ColumnSummary) -> tuple[str, ...]:
    column = summary.column
    return (
        column.name,
        f"text, {column.dtype[1:]} bytes" if column.is_text else column.dtype,
        " × ".join(map(str, column.shape)) or "–",
        f"{summary.missing:,}",
        "–" if summary.least is None else f"{summary.least:g}",
        "–" if summary.most is None else f"{summary.most:g}",
        "–" if summary.words is None else f"{summary.words:,}",
    )


def _print_classes(summary: Summary) -> None:
    splits = list(summary.classes)
    names = list(summary.classes[splits[0]])
    print_table(
        ("CLASS", *(f">{split.upper()}" for split in splits)),
        [
            (name, *(f"{summary.classes[split][name]:,}" for split in splits))
            for name in names[:_MOST_CLASSES]
        ],
        empty="There are no classes.",
    )
    if len(names) > _MOST_CLASSES:
        chatter().print(f"… and {len(names) - _MOST_CLASSES} more; -o json has all.", style="dim")


def _prepared_row(prepared: Prepared) -> tuple[str, ...]:
    known = prepared.manifest
    return (
        prepared.name,
        prepared.fingerprint,
        prepared.state,
        f"{sum(known.rows(split) for split in known.splits):,}" if known else "–",
        str(known.streams) if known else "–",
        size_text(prepared.size_bytes),
        ago(prepared.prepared_at),
        known.origin if known else "–",
    )
