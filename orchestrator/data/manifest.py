"""The manifest of a prepared dataset: its schema, its streams and their digests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.catalog.info import Column, DatasetInfo, Statistics
from orchestrator.data.source import Source
from orchestrator.errors import UnavailableError
from orchestrator.storage.atomic import read_json

#: Raise it when shards are written differently: prepared datasets are then prepared anew.
FORMAT = 2

#: Name of the manifest's file in the folder of a prepared dataset.
MANIFEST_FILE = "manifest.json"

#: Column that shards have besides the source's: the number of the row in its split.
ROW_COLUMN = "__row__"


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One stream of one split: an Arrow IPC file."""

    #: Path of the file, relative to the manifest.
    file: str
    #: Rows in it.
    rows: int
    #: Size of the file.
    size_bytes: int
    #: SHA-256 of the file.
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything about a prepared dataset besides its rows."""

    #: Name of the dataset.
    dataset: str
    #: What the rows and their dealing depend on, digested.
    fingerprint: str
    #: Where the rows came from.
    origin: str
    #: Digest of the source.
    source_digest: str
    #: Model inputs.
    features: tuple[Column, ...]
    #: The column to learn.
    label: Column
    #: Name of each class.
    classes: tuple[str, ...]
    #: Number of streams, S.
    streams: int
    #: Shards of each split, by stream.
    splits: Mapping[str, tuple[Shard, ...]]
    #: Of each scalar feature, over the training rows.
    statistics: Mapping[str, Statistics] = field(default_factory=dict)

    @property
    def info(self) -> DatasetInfo:
        """What a job may know of it."""
        return DatasetInfo(
            features=self.features,
            classes=self.classes,
            train_rows=self.rows("train"),
            statistics=self.statistics,
        )

    def rows(self, split: str) -> int:
        """Return the number of rows of a split."""
        return sum(shard.rows for shard in self.splits[split])

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Manifest:
        """Build it from what `to_dict` returned."""
        rest = {key: value for key, value in values.items() if key != "format"}
        info = DatasetInfo.from_dict({**values, "train_rows": 0})
        return cls(
            **{
                **rest,
                "features": info.features,
                "label": Column.from_dict(values["label"]),
                "classes": info.classes,
                "statistics": info.statistics,
                "splits": {
                    name: tuple(Shard(**shard) for shard in shards)
                    for name, shards in values["splits"].items()
                },
            }
        )

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read the manifest of a prepared dataset.

        Raises:
            UnavailableError: It isn't there, or is damaged.
        """
        try:
            return cls.from_dict(read_json(folder / MANIFEST_FILE))
        except (KeyError, TypeError, AttributeError, UnavailableError) as err:
            raise UnavailableError(
                f"{folder / MANIFEST_FILE} is missing or damaged: {err}.",
                hint=f"Remove {folder}; the next run prepares it anew.",
            ) from err


def fingerprint(dataset: str, source: Source, *, streams: int, seed: int) -> str:
    """Return the SHA-256 of everything that prepared rows depend on.

    Args:
        dataset: Name of the dataset.
        source: The source, not read yet.
        streams: Number of streams.
        seed: Seed of the dealing.
    """
    request = {
        "format": FORMAT,
        "dataset": dataset,
        "source": source.digest,
        "columns": [asdict(column) for column in source.columns],
        "classes": source.classes,
        "rows": {name: split.rows for name, split in source.splits.items()},
        "streams": streams,
        "seed": seed,
    }
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
