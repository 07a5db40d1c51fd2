"""What a job may know of the dataset it trains on, before it has seen a row of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column: what one row holds of it."""

    #: Name of the column.
    name: str
    #: NumPy name of the element type, such as `uint8`; `S12` for text of 12 bytes at most, UTF-8.
    dtype: str
    #: Shape of one row's value; `()` for a scalar.
    shape: tuple[int, ...] = ()

    @property
    def is_text(self) -> bool:
        """Whether it holds text."""
        return self.dtype.startswith("S")

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """The element type."""
        import numpy as np

        return np.dtype(self.dtype)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row's value."""
        return math.prod(self.shape) * self.numpy_dtype.itemsize

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Column:
        """Build it from what `dataclasses.asdict` returned."""
        return cls(name=values["name"], dtype=values["dtype"], shape=tuple(values["shape"]))


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """What the training rows hold of one scalar column."""

    #: Rows without a value: NaN, or empty text.
    missing: int
    #: Mean of the others' numbers; 0 for text.
    mean: float = 0.0
    #: Their variance, over all of them (not one less); 0 for text.
    variance: float = 0.0
    #: Words of a column of text, the most frequent first.
    vocabulary: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """A dataset's columns and classes, and what its training rows hold on the whole."""

    #: Model inputs.
    features: tuple[Column, ...]
    #: Name of each class, by index.
    classes: tuple[str, ...]
    #: Rows to train on.
    train_rows: int
    #: Of each scalar feature, by the column's name.
    statistics: Mapping[str, Statistics] = field(default_factory=dict)

    @property
    def feature(self) -> Column:
        """The only feature.

        Raises:
            ValueError: There are several.
        """
        if len(self.features) != 1:
            raise ValueError(
                f"this job takes rows of one array; the dataset has {len(self.features)} columns"
            )
        return self.features[0]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DatasetInfo:
        """Build it from what `to_dict` returned."""
        return cls(
            features=tuple(Column.from_dict(c) for c in values["features"]),
            classes=tuple(values["classes"]),
            train_rows=values["train_rows"],
            statistics={
                name: Statistics(**{**s, "vocabulary": tuple(s["vocabulary"])})
                # Shards of format 1 came without.
                for name, s in values.get("statistics", {}).items()
            },
        )
