"""Datasets in MNIST's format: four IDX files, of images and labels for training and test."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.data import idx
from orchestrator.data.fetch import RemoteFile, fetch
from orchestrator.data.source import Column, Source, SourceContext, Split, in_memory
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class IdxPair:
    """The two files of one split."""

    #: `(rows, 28, 28) uint8`.
    images: RemoteFile
    #: `(rows,) uint8`.
    labels: RemoteFile


def idx_source(
    context: SourceContext,
    *,
    name: str,
    classes: tuple[str, ...],
    splits: Mapping[str, IdxPair],
) -> Source:
    """Fetch and check the files, and return their rows.

    Args:
        context: Where files may be.
        name: Name of the dataset.
        classes: Name of each class.
        splits: The files of `train` and `test`.

    Raises:
        UsageError: A file is not what it should be, or the two of a split don't fit together.
        DataUnavailableError: A file can't be had.
    """
    files = [file for pair in splits.values() for file in (pair.images, pair.labels)]
    return Source(
        features=(Column(name="image", dtype="uint8", shape=(28, 28)),),
        label=Column(name="label", dtype="int64"),
        classes=classes,
        splits={split: _split(context, name, pair) for split, pair in splits.items()},
        digest=hashlib.sha256("".join(file.sha256 for file in files).encode()).hexdigest(),
        origin=str(context.data_dir or splits["train"].images.mirrors[0]),
    )


def paired(images: NDArray[Any], labels: NDArray[Any], *, where: str) -> Split:
    """Return the split of images and their labels.

    Raises:
        UsageError: There are not as many of one as of the other, or the images aren't 28×28.
    """
    if len(images) != len(labels):
        raise UsageError(f"{where}: {len(images)} images, but {len(labels)} labels.")
    if images.shape[1:] != (28, 28):
        raise UsageError(f"{where}: images of {images.shape[1:]} pixels, not (28, 28).")
    return in_memory({"image": images, "label": labels.astype("int64")})


def _split(context: SourceContext, name: str, pair: IdxPair) -> Split:
    images, labels = (fetch(file, context, folder=name) for file in (pair.images, pair.labels))
    return paired(
        idx.parse(images, dimensions=3, where=pair.images.name),
        idx.parse(labels, dimensions=1, where=pair.labels.name),
        where=f"{pair.images.name} and {pair.labels.name}",
    )
