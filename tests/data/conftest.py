"""Datasets to prepare and read: real MNIST where it is, and small ones that are made up."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from orchestrator.data.source import Column, Source, Split, in_memory

MakeSource = Callable[..., Source]


@pytest.fixture(scope="session")
def mnist_dir() -> Path:
    named = os.environ.get("LAUNCH_JOB_DATA_DIR")
    folder = Path(named) if named else Path(__file__).resolve().parents[3] / "shared" / "mnist"
    if not (folder / "train-images-idx3-ubyte.gz").is_file():
        pytest.skip(f"real MNIST is not in {folder}; LAUNCH_JOB_DATA_DIR names its folder")
    return folder.resolve()


def split_of(rows: int, *, first: int = 0, batch_rows: int = 7) -> Split:
    """Rows that tell their number: pixel and label are functions of it."""
    numbers = np.arange(first, first + rows)
    return in_memory(
        {
            "image": (numbers[:, None, None] * np.ones((1, 2, 3))).astype(np.float32),
            "label": numbers % 5,
        },
        batch_rows=batch_rows,
    )


@pytest.fixture(scope="session")
def make_source() -> MakeSource:
    def make(train: int = 100, test: int = 23, **changes: object) -> Source:
        fields: dict[str, object] = {
            "features": (Column(name="image", dtype="float32", shape=(2, 3)),),
            "label": Column(name="label", dtype="int64"),
            "classes": tuple("abcde"),
            "splits": {"train": split_of(train), "test": split_of(test, first=1000)},
            "digest": hashlib.sha256(f"{train} {test}".encode()).hexdigest(),
            "origin": "made up",
        }
        return Source(**(fields | changes))  # type: ignore[arg-type]

    return make
