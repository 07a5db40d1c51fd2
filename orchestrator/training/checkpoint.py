"""Checkpoints: whole, or not there.

A checkpoint is a folder with the arrays, the position and a manifest of SHA-256 digests. It is
written beside its final name, brought to disk, and renamed; it is verified before it is used, and
a damaged one is passed over for the one before it. Arrays are plain `.npz`, read without pickles.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import UnavailableError
from orchestrator.storage import new_folder, read_json, write_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

_ARRAYS, _POSITION, _MANIFEST = "arrays.npz", "position.json", "manifest.json"
_NAME = re.compile(r"epoch-(\d{5})-step-(\d{7})")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Everything that training needs to go on as if it had never stopped."""

    #: Epochs that are done.
    epoch: int
    #: Steps that are done of the epoch after those.
    step: int
    #: Variables of model, optimizer and metrics, random state included, by name.
    arrays: Mapping[str, NDArray[Any]]
    #: Metrics of each epoch that is done.
    history: tuple[Mapping[str, float], ...] = field(default=())

    @property
    def name(self) -> str:
        """Name of its folder; names sort by position."""
        return f"epoch-{self.epoch:05d}-step-{self.step:07d}"


@dataclass(frozen=True, kw_only=True)
class CheckpointStore:
    """The checkpoints of one run."""

    #: The folder they lie in.
    folder: Path
    #: How many to keep.
    keep: int = 2

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint and drop the ones that are no longer kept.

        Raises:
            UnavailableError: The storage can't be written.
        """
        import numpy as np

        target = self.folder / checkpoint.name
        if target.exists():  # Left by an earlier attempt; it was found damaged, or we'd be past it.
            shutil.rmtree(target)
        with new_folder(target) as folder:
            np.savez(folder / _ARRAYS, allow_pickle=False, **checkpoint.arrays)
            position = {
                "epoch": checkpoint.epoch,
                "step": checkpoint.step,
                "history": list(checkpoint.history),
            }
            write_json(folder / _POSITION, position)
            digests = {name: _sha256(folder / name) for name in (_ARRAYS, _POSITION)}
            write_json(folder / _MANIFEST, digests)
        self._drop_old()
        return target

    def newest(self) -> Checkpoint | None:
        """Return the newest checkpoint that is whole, or None if there is none."""
        for folder in reversed(self._folders()):
            try:
                return _load(folder)
            except UnavailableError as err:
                log.warning("checkpoint passed over: %s", err)
        return None

    def _folders(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return sorted(p for p in self.folder.iterdir() if _NAME.fullmatch(p.name))

    def _drop_old(self) -> None:
        for folder in self._folders()[: -self.keep]:
            shutil.rmtree(folder, ignore_errors=True)


def _load(folder: Path) -> Checkpoint:
    import numpy as np

    for name, digest in read_json(folder / _MANIFEST).items():
        if not (folder / name).is_file() or _sha256(folder / name) != digest:
            raise UnavailableError(f"{folder / name} is damaged.")
    position = json.loads((folder / _POSITION).read_text())
    with np.load(folder / _ARRAYS, allow_pickle=False) as arrays:
        values = {name: arrays[name] for name in arrays.files}
    return Checkpoint(
        epoch=position["epoch"],
        step=position["step"],
        arrays=values,
        history=tuple(position["history"]),
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
