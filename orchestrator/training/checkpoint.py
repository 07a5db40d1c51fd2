"""Checkpoints: whole, or not there.

A checkpoint is a folder with the arrays, the position and a manifest of SHA-256 digests. It is
written beside its final name, brought to disk, and renamed; it is verified before it is used, and
a damaged one is passed over for the one before it. Arrays are plain `.npz`, read without pickles.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import UnavailableError
from orchestrator.storage.atomic import new_folder, read_json, storage_errors, write_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ARRAYS, _POSITION, _MANIFEST = "arrays.npz", "position.json", "manifest.json"
_NAME = re.compile(r"epoch-(\d{5})-step-(\d{7})")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Everything that training needs to go on as if it had never stopped."""

    #: Epochs that are done.
    epoch: int
    #: Steps that are done of the epoch after those.
    step: int
    #: Workers that trained up to here.
    workers: int = 1
    #: Variables of model, optimizer and metrics, random state included, and callbacks' arrays.
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    #: State of each of the job's callbacks.
    callbacks: tuple[Mapping[str, Any], ...] = ()
    #: Metrics of each epoch that is done.
    history: tuple[Mapping[str, float], ...] = ()
    #: Seconds that were spent on the steps of the unfinished epoch.
    epoch_seconds: float = 0.0
    #: Whether a callback ended training here.
    stopped: bool = False

    @property
    def name(self) -> str:
        """Name of its folder; names sort by position."""
        return f"epoch-{self.epoch:05d}-step-{self.step:07d}"


def place_of(name: str | None) -> str:
    """Return where training stands in a checkpoint, in words.

    Args:
        name: Name of the checkpoint; None: there is none.
    """
    if name is None:
        return "the beginning"
    epoch, step = map(int, _NAME.fullmatch(name).groups())  # type: ignore[union-attr]
    return f"step {step} of epoch {epoch + 1}" if step else f"the end of epoch {epoch}"


@dataclass(frozen=True, kw_only=True)
class CheckpointStore:
    """The checkpoints of one run."""

    #: The folder they lie in.
    folder: Path
    #: How many of the newest to keep, beside the best.
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
        position = {
            key: getattr(checkpoint, key)
            for key in ("epoch", "step", "workers", "epoch_seconds", "stopped")
        }
        position |= {
            "history": [dict(epoch) for epoch in checkpoint.history],
            "callbacks": [dict(state) for state in checkpoint.callbacks],
        }
        with new_folder(target) as folder:
            np.savez(folder / _ARRAYS, allow_pickle=False, **checkpoint.arrays)
            write_json(folder / _POSITION, position)
            digests = {name: _sha256(folder / name) for name in (_ARRAYS, _POSITION)}
            write_json(folder / _MANIFEST, digests)
        self._drop_old()
        return target

    def newest(self, *, on_damaged: Callable[[UnavailableError], None]) -> str | None:
        """Return the name of the newest checkpoint that is whole, or None if there is none.

        Args:
            on_damaged: Told of each newer one that is passed over.
        """
        for folder in reversed(self._folders()):
            try:
                _verify(folder)
            except UnavailableError as err:
                on_damaged(err)
            else:
                return folder.name
        return None

    def load(self, name: str) -> Checkpoint:
        """Read a checkpoint, after verifying it.

        Raises:
            UnavailableError: It is damaged.
        """
        import numpy as np

        folder = self.folder / name
        _verify(folder)
        position = json.loads((folder / _POSITION).read_text())
        with np.load(folder / _ARRAYS, allow_pickle=False) as arrays:
            values = {key: arrays[key] for key in arrays.files}
        history, callbacks = tuple(position.pop("history")), tuple(position.pop("callbacks"))
        return Checkpoint(**position, arrays=values, history=history, callbacks=callbacks)

    def clear(self) -> None:
        """Remove all of them.

        Raises:
            UnavailableError: The storage can't be written.
        """
        with storage_errors(self.folder):
            if self.folder.exists():
                shutil.rmtree(self.folder)

    def sweep(self) -> None:
        """Remove what a writer that was killed has left half-written; nobody may be writing."""
        if self.folder.is_dir():
            for path in self.folder.glob(".epoch-*"):
                shutil.rmtree(path, ignore_errors=True)

    def _folders(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return sorted(p for p in self.folder.iterdir() if _NAME.fullmatch(p.name))

    def _drop_old(self) -> None:
        folders = self._folders()
        kept = {*folders[-self.keep :], *self._best(folders)}
        for folder in folders:
            if folder not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    def _best(self, folders: list[Path]) -> list[Path]:
        """Return the end of the epoch with the lowest loss; nothing if no epoch has ended."""
        losses: dict[Path, float] = {}
        for folder in folders:
            with contextlib.suppress(UnavailableError, KeyError, IndexError, TypeError):
                position = read_json(folder / _POSITION)
                if position["step"] == 0:
                    losses[folder] = position["history"][-1]["loss"]
        finite = {folder: loss for folder, loss in losses.items() if math.isfinite(loss)}
        return [min(finite, key=lambda folder: finite[folder])] if finite else []


def _verify(folder: Path) -> None:
    """Compare a checkpoint's files with their digests.

    Raises:
        UnavailableError: One is missing or differs.
    """
    digests = read_json(folder / _MANIFEST)
    if not isinstance(digests, dict) or digests.keys() != {_ARRAYS, _POSITION}:
        raise UnavailableError(f"{folder / _MANIFEST} is damaged.")
    for name, digest in digests.items():
        with storage_errors(folder / name):
            if _sha256(folder / name) != digest:
                raise UnavailableError(f"{folder / name} is damaged.")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
