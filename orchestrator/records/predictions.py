"""What a model said of each test row: enough to compare two runs row by row.

One Arrow file, in the order of the rows' numbers, so it is the same for any number of workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import RunFailedError, UnavailableError
from orchestrator.storage.atomic import storage_errors, write_atomic

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_COLUMNS = (("row", "int64"), ("label", "int32"), ("predicted", "int32"))


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Rows of a test set, each with what it is and what was said."""

    #: `(rows,)`: number of each row in its source.
    row: NDArray[np.int64]
    #: `(rows,)`: index of the right class.
    label: NDArray[np.int32]
    #: `(rows,)`: index of the class that was said.
    predicted: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.row)

    def check(self, *, rows: int) -> None:
        """Prove that there is one for each row; they have to be in the order of the rows.

        Args:
            rows: How many rows there are.

        Raises:
            RunFailedError: A row is there twice, or not at all.
        """
        twice = self.row[1:][self.row[1:] == self.row[:-1]]
        if len(twice):
            raise RunFailedError(f"Test row {twice[0]} was evaluated twice.")
        if len(self) != rows:
            raise RunFailedError(f"{len(self)} test rows have a prediction; there are {rows}.")

    def same_rows(self, other: Predictions) -> bool:
        """Whether another has the same rows with the same classes, in the same order."""
        import numpy as np

        return np.array_equal(self.row, other.row) and np.array_equal(self.label, other.label)

    @classmethod
    def merge(cls, parts: Sequence[Predictions]) -> Predictions:
        """Put parts together, in the order of the rows' numbers."""
        import numpy as np

        columns = {
            name: np.concatenate([np.empty(0, dtype), *(getattr(p, name) for p in parts)])
            for name, dtype in _COLUMNS
        }
        order = np.argsort(columns["row"], kind="stable")
        # Without a part, NumPy can't know the type.
        return cls(**{name: columns[name][order].astype(dtype) for name, dtype in _COLUMNS})

    def write(self, path: Path) -> None:
        """Write an Arrow file, atomically.

        Raises:
            UnavailableError: The storage can't be written.
        """
        import pyarrow as pa

        table = pa.table({name: getattr(self, name) for name, _ in _COLUMNS})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        write_atomic(path, sink.getvalue().to_pybytes())

    @classmethod
    def read(cls, path: Path) -> Predictions:
        """Read what `write` wrote.

        Raises:
            UnavailableError: It isn't there, or is damaged.
        """
        import pyarrow as pa

        with storage_errors(path):
            data = path.read_bytes()
        try:
            table = pa.ipc.open_file(data).read_all()
            return cls(**{name: table[name].to_numpy() for name, _ in _COLUMNS})
        except (pa.ArrowException, KeyError) as err:
            raise UnavailableError(f"{path} is damaged: {err}.") from err
