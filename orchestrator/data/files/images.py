"""A folder of pictures as a source: one folder a class, or `train` and `test` with such folders."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from orchestrator.catalog.info import Column
from orchestrator.data.files.file import DataFile
from orchestrator.data.files.split import StratifiedSplit
from orchestrator.data.source import Batch, Source, SourceContext, Split
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Ends of names of pictures.
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")

#: Raise it when pictures become arrays differently.
VERSION = 1

#: Pillow's names of grey, and of red, green and blue.
_MODES = ("L", "RGB")

#: Pictures to look at, or to read, at a time.
_BATCH = 256


@dataclass(frozen=True, kw_only=True)
class _Picture:
    file: DataFile
    label: int
    #: Size and time of the file when it was listed.
    state: tuple[int, int]

    def decoded(self) -> tuple[NDArray[Any], bytes]:
        """Return its pixels and its file's bytes.

        Raises:
            UsageError: It can't be read as a picture, or the file has changed.
        """
        found = _decoded(self.file)
        if self.file.state != self.state:
            raise UsageError(
                f"{self.file} has changed while it was read.",
                hint="Wait until it is complete, and start again.",
            )
        return found


def image_source(folder: DataFile, context: SourceContext) -> Source:
    """Look through a folder of pictures and return it as a source.

    Args:
        folder: One folder a class; or `train` and `test`, with one folder a class in each.
        context: Told how far it is.

    Raises:
        UsageError: Pictures differ in size or colours, one can't be read, or a class lacks some.
    """
    parts = {child.name: child for child in folder.files() if child.is_folder()}
    given = set(parts) == {"train", "test"}
    by_split = {
        split: {c.name: c for c in root.files() if c.is_folder()}
        for split, root in (parts if given else {"all": folder}).items()
    }
    classes = tuple(sorted(set().union(*by_split.values())))
    if len(classes) < 2:
        raise UsageError(
            f"{folder} has {len(classes) or 'no'} class{'' if len(classes) == 1 else 'es'}: "
            "each class is a folder of pictures.",
            hint=f"Bring the pictures into folders, such as {folder}/cat and {folder}/dog.",
        )
    pictures = {
        split: _listed(folders, classes, least=1 if given else 2)
        for split, folders in by_split.items()
    }
    every = [picture for listed in pictures.values() for picture in listed]
    shape, digest = _look_through(folder, every, context)
    if not given:
        pictures = _split(pictures["all"], len(classes))
    return Source(
        features=(Column(name="image", dtype="uint8", shape=shape),),
        label=Column(name="label", dtype="int64"),
        classes=classes,
        splits={
            split: Split(
                rows=len(listed),
                read=partial(_read, listed),
                read_from=partial(_read, listed),
            )
            for split, listed in pictures.items()
        },
        digest=hashlib.sha256(repr((VERSION, classes, given, digest)).encode()).hexdigest(),
        origin=folder.uri,
    )


def _listed(folders: dict[str, DataFile], classes: Sequence[str], *, least: int) -> list[_Picture]:
    """Return the pictures of all classes, by class and name.

    Raises:
        UsageError: A class has too few.
    """
    listed: list[_Picture] = []
    for label, name in enumerate(classes):
        files = folders[name].files() if name in folders else []
        own = [_Picture(file=f, label=label, state=f.state) for f in files if f.suffix in SUFFIXES]
        if len(own) < least:
            raise UsageError(
                f"Class {name!r} has {len(own) or 'no'} picture{'' if len(own) == 1 else 's'} in "
                f"{folders.get(name, 'one of the splits')}; at least {least} are needed.",
                hint=f"Pictures are files that end in {', '.join(SUFFIXES)}.",
            )
        listed += own
    return listed


def _look_through(
    folder: DataFile, pictures: Sequence[_Picture], context: SourceContext
) -> tuple[tuple[int, ...], str]:
    """Check that all pictures are alike; return the shape of one, and a digest of all.

    Raises:
        UsageError: One is of another size or other colours, or can't be read.
    """
    digest = hashlib.sha256()
    first = pictures[0]
    shape = first.decoded()[0].shape
    for number, picture in enumerate(pictures):
        pixels, raw = picture.decoded()
        if pixels.shape != shape:
            raise UsageError(
                f"{picture.file} is {_size(pixels.shape)}, but {first.file} is {_size(shape)}.",
                hint="Bring all pictures to one size and to the same colours.",
            )
        digest.update(f"{picture.file.uri.removeprefix(folder.uri)} {len(raw)}\n".encode())
        digest.update(raw)
        if number % _BATCH == 0:
            context.progress(f"Looking through {folder}", number, len(pictures))
    return shape, digest.hexdigest()


def _split(pictures: Sequence[_Picture], classes: int) -> dict[str, list[_Picture]]:
    import numpy as np

    labels = np.array([picture.label for picture in pictures])
    kept = StratifiedSplit(np.bincount(labels, minlength=classes).tolist()).next(labels)
    return {
        "train": [p for p, test in zip(pictures, kept, strict=True) if not test],
        "test": [p for p, test in zip(pictures, kept, strict=True) if test],
    }


def _read(pictures: Sequence[_Picture], first: int = 0) -> Iterator[Batch]:
    import numpy as np

    for at in range(first, len(pictures), _BATCH):
        some = pictures[at : at + _BATCH]
        yield {
            "image": np.stack([picture.decoded()[0] for picture in some]),
            "label": np.array([picture.label for picture in some], np.int64),
        }


def _decoded(file: DataFile) -> tuple[NDArray[Any], bytes]:
    """Return a picture's pixels, `(height, width) uint8` or `(height, width, 3)`, and its file.

    Raises:
        UsageError: It can't be read, or has other colours than grey or red, green and blue.
    """
    import io

    import numpy as np
    from PIL import Image, UnidentifiedImageError

    with file.open() as opened:
        raw = bytes(opened.read())
    try:
        with Image.open(io.BytesIO(raw)) as picture:
            if picture.mode not in _MODES:
                raise UsageError(
                    f"{file} has colours of the kind {picture.mode}; grey (L) and RGB can be read.",
                    hint="Convert it, for example with Pillow: Image.open(…).convert('RGB').",
                )
            return np.asarray(picture), raw
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as err:
        raise UsageError(
            f"{file} can't be read as a picture: {err}.", hint="Mend it, or take it out."
        ) from err


def _size(shape: tuple[int, ...]) -> str:
    height, width, *colours = shape
    return f"{width}×{height} pixels in {'colour' if colours else 'grey'}"
