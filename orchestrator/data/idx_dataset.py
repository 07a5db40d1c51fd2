"""Datasets in MNIST's format: four IDX files, of images and labels for training and test."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from orchestrator.data import idx
from orchestrator.data.fetch import RemoteFile, fetch
from orchestrator.data.source import Batch, Column, Source, SourceContext, Split, in_memory
from orchestrator.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class IdxPair:
    """The two files of one split."""

    #: `(rows, 28, 28) uint8`.
    images: RemoteFile
    #: `(rows,) uint8`.
    labels: RemoteFile
    #: Rows in each.
    rows: int


def idx_source(
    context: SourceContext,
    *,
    name: str,
    classes: tuple[str, ...],
    splits: Mapping[str, IdxPair],
    shape: tuple[int, int] = (28, 28),
) -> Source:
    """Bring the files to this machine, and return a source that reads them when it is read.

    Its digest is known from the files' digests, so a dataset that is prepared already isn't read.

    Args:
        context: Where files may be.
        name: Name of the dataset.
        classes: Name of each class.
        splits: The files of `train` and `test`.
        shape: Height and width of an image, in pixels.

    Raises:
        UsageError: A file of the user's is missing or isn't what it should be.
        DataUnavailableError: A file can't be had.
    """
    files = [file for pair in splits.values() for file in (pair.images, pair.labels)]
    readers = {file: fetch(file, context, folder=name) for file in files}
    return Source(
        features=(Column(name="image", dtype="uint8", shape=shape),),
        label=Column(name="label", dtype="int64"),
        classes=classes,
        splits={split: _split(pair, readers, shape) for split, pair in splits.items()},
        digest=hashlib.sha256("".join(file.sha256 for file in files).encode()).hexdigest(),
        origin=str(context.data_dir or splits["train"].images.mirrors[0]),
    )


def _split(
    pair: IdxPair, readers: Mapping[RemoteFile, Callable[[], bytes]], shape: tuple[int, int]
) -> Split:
    def read() -> Iterator[Batch]:
        images = idx.parse(readers[pair.images](), dimensions=3, where=pair.images.name)
        labels = idx.parse(readers[pair.labels](), dimensions=1, where=pair.labels.name)
        if len(images) != len(labels):
            raise UsageError(
                f"{pair.images.name} has {len(images)} images, but {pair.labels.name} has "
                f"{len(labels)} labels."
            )
        if images.shape[1:] != shape:
            raise UsageError(
                f"{pair.images.name} has images of {images.shape[1:]} pixels; expected {shape}."
            )
        return in_memory({"image": images, "label": labels.astype("int64")}).read()

    return Split(rows=pair.rows, read=read)
