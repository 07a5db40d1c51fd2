"""The classes of a label column: what its values are called, and which are none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

#: More different values than this are no classes any more.
MOST_CLASSES = 1000


class Classes:
    """The classes that were met, and how often; grows with the rows.

    Args:
        where: File and column, for messages.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._counts: Counter[str] = Counter()

    def add(self, values: pa.Array, *, first: int) -> None:
        """Count the labels of some rows.

        Args:
            values: The column's values.
            first: Number of the first of these rows in the file, from 1.

        Raises:
            UsageError: One is missing or no class, or there are too many different ones.
        """
        for name, count in zip(*_counted(words_of(values, self._where, first)), strict=True):
            self._counts[name] += count
        if len(self._counts) > MOST_CLASSES:
            raise UsageError(
                f"{self._where} has more than {MOST_CLASSES} different values: too many for "
                "classes.",
                hint="Name another column with --label, or bring its values into few classes.",
            )

    def finish(self) -> tuple[tuple[str, ...], tuple[int, ...]]:
        """Return the names of all classes, in their order, and how many rows each has.

        Raises:
            UsageError: There are no rows, or only one class.
        """
        if not self._counts:
            raise UsageError(f"{self._where} has no rows.")
        if len(self._counts) == 1:
            (name,) = self._counts
            raise UsageError(
                f"{self._where} has one class only, {name!r}: there is nothing to tell apart.",
                hint="Name another column with --label, or bring rows of other classes.",
            )
        names = sorted(self._counts, key=_order)
        return tuple(names), tuple(self._counts[name] for name in names)


def indices(values: pa.Array, classes: Sequence[str], where: str, *, first: int) -> NDArray[Any]:
    """Return the class index of each row: `(rows,) int64`.

    Args:
        values: A label column's values.
        classes: Name of each class.
        where: File and column, for messages.
        first: Number of the first of these rows in the file, from 1.

    Raises:
        UsageError: One is missing, or was not there when classes were looked for.
    """
    import numpy as np

    words = words_of(values, where, first).dictionary_encode()
    known = {name: index for index, name in enumerate(classes)}
    table = np.array([known.get(word, -1) for word in words.dictionary.to_pylist()], np.int64)
    found = table[words.indices.to_numpy()] if len(words) else np.empty(0, np.int64)
    if len(unknown := np.flatnonzero(found < 0)):
        row = int(unknown[0])
        raise UsageError(
            f"{where}, row {first + row}: class {words[row].as_py()!r} was not there when the "
            "table was looked through; it has changed since."
        )
    return found


def words_of(values: pa.Array, where: str, first: int) -> pa.Array:
    """Return labels as words: `(rows,) string`; whole numbers without a point.

    Raises:
        UsageError: One is missing, or not a whole number where labels are numbers.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    if values.null_count:
        row = pc.index(pc.is_null(values), True).as_py()
        raise UsageError(
            f"{where}, row {first + row}: the label is missing.",
            hint="Fill it in, or take the row out.",
        )
    try:
        if pa.types.is_floating(values.type) or pa.types.is_decimal(values.type):
            values = values.cast(pa.int64())
        words = values.cast(pa.string())
    except pa.ArrowInvalid as err:
        raise UsageError(
            f"{where} has labels that are no classes: {err}.",
            hint="Only classes can be learnt, not numbers: bring them into classes.",
        ) from err
    except pa.ArrowNotImplementedError as err:
        raise UsageError(f"{where} holds {values.type}, which can't be a label.") from err
    return pc.utf8_trim_whitespace(words)


def _counted(words: pa.Array) -> tuple[list[str], list[int]]:
    import pyarrow.compute as pc

    counts = pc.value_counts(words)
    return counts.field("values").to_pylist(), counts.field("counts").to_pylist()


def _order(name: str) -> tuple[bool, float, str]:
    """Sort whole numbers as numbers, before everything else, which is sorted as text."""
    try:
        return False, int(name), name
    except ValueError:
        return True, 0.0, name
