"""What a table's columns hold, found by looking at all their values, and how they become arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.catalog.info import Column
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

#: Longer texts are no categories.
MOST_TEXT_BYTES = 256

#: Largest number that a float32 holds.
_MOST = 3.4028235e38


class ColumnScan:
    """What was seen of one column so far.

    Args:
        name: Name of the column.
        where: File and column, for messages.
    """

    def __init__(self, name: str, where: str) -> None:
        self.name = name
        #: Whether all values are numbers.
        self.numbers = True
        #: Whether all of them are whole, 0 … 255, and none is missing.
        self.bytes = True
        self._where = where
        self._width = 1
        self._tensor: tuple[str, tuple[int, ...]] | None = None

    def add(self, values: pa.Array, *, first: int) -> None:
        """Look at the values of some rows.

        Args:
            values: The values.
            first: Number of the first of these rows in the file, from 1.

        Raises:
            UsageError: They are of a type that no model takes, or one can't be.
        """
        import pyarrow as pa

        if (tensor := _tensor_form(values.type)) is not None:
            self._add_tensors(values, tensor, first)
        elif _is_text(values.type):
            self._add_text(values, first)
        elif (
            pa.types.is_integer(values.type)
            or pa.types.is_floating(values.type)
            or pa.types.is_boolean(values.type)
            or pa.types.is_decimal(values.type)
            or pa.types.is_null(values.type)
        ):
            self._check_numbers(_as_floats(values), first)
        else:
            raise UsageError(
                f"{self._where} holds {values.type}, which no model takes.",
                hint="Turn it into numbers, text or arrays of one size, or leave it out.",
            )

    def column(self) -> Column:
        """Return the column, as all that was seen needs it."""
        if self._tensor is not None:
            dtype, shape = self._tensor
            return Column(name=self.name, dtype=dtype, shape=shape)
        return Column(name=self.name, dtype="float32" if self.numbers else f"S{self._width}")

    def _add_text(self, values: pa.Array, first: int) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        text = _as_text(values)
        sizes = pc.binary_length(text)
        longest = pc.max(sizes).as_py() or 0
        if self.numbers:
            try:
                self._check_numbers(_as_floats(text), first)
            except pa.ArrowInvalid:
                self.numbers = self.bytes = False
        if not self.numbers and longest > MOST_TEXT_BYTES:
            row = first + pc.index(sizes, longest).as_py()
            raise UsageError(
                f"{self._where}, row {row}: {longest} bytes of text; {MOST_TEXT_BYTES} are the "
                "most that a category can have.",
                hint="Leave the column out, or turn it into numbers.",
            )
        self._width = max(self._width, longest)

    def _check_numbers(self, numbers: NDArray[Any], first: int) -> None:
        import numpy as np

        if len(huge := np.flatnonzero(np.abs(numbers) > _MOST)):
            row = int(huge[0])
            raise UsageError(
                f"{self._where}, row {first + row}: {numbers[row]:g} is too large.",
                hint="Numbers up to 3.4e38 can be computed with; scale them or take them out.",
            )
        self.bytes = self.bytes and bool(
            np.all((numbers >= 0) & (numbers <= 255) & (numbers == np.floor(numbers)))
        )

    def _add_tensors(
        self, values: pa.Array, tensor: tuple[str, tuple[int, ...]], first: int
    ) -> None:
        import pyarrow.compute as pc

        if values.null_count:
            row = first + pc.index(pc.is_null(values), True).as_py()
            raise UsageError(f"{self._where}, row {row}: the array is missing.")
        if self._tensor not in (None, tensor):
            raise UsageError(
                f"{self._where}, row {first}: arrays of {tensor}, after ones of {self._tensor}."
            )
        self.numbers = self.bytes = False
        self._tensor = tensor


def values_of(column: Column, values: pa.Array) -> NDArray[Any]:
    """Return a column's values as an array: `(rows, *shape)`.

    Numbers that are missing are NaN, and text that is missing is empty.
    """
    import numpy as np

    if column.shape:
        storage = values.storage if hasattr(values, "storage") else values
        flat = storage.flatten().to_numpy(zero_copy_only=False)
        return flat.astype(column.numpy_dtype, copy=False).reshape(len(values), *column.shape)
    if not column.is_text:
        return _as_floats(values).astype(column.numpy_dtype)
    words = _as_text(values).fill_null("").dictionary_encode()
    table = np.array([word.encode() for word in words.dictionary.to_pylist()], column.numpy_dtype)
    return table[words.indices.to_numpy()] if len(words) else table


def _is_text(type_: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(type_):
        return _is_text(type_.value_type)
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(is_kind(type_) for is_kind in kinds)


def _tensor_form(type_: pa.DataType) -> tuple[str, tuple[int, ...]] | None:
    """Return element type and shape of arrays of one size; None of other types."""
    import pyarrow as pa

    if isinstance(type_, pa.FixedShapeTensorType):
        element, shape = type_.value_type, tuple(type_.shape)
    elif pa.types.is_fixed_size_list(type_):
        element, shape = type_.value_type, (type_.list_size,)
    else:
        return None
    if not (pa.types.is_integer(element) or pa.types.is_floating(element)):
        return None
    name = str(element.to_pandas_dtype().__name__)
    return ("float32" if name == "float64" else name), shape


def _as_text(values: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    return pc.utf8_trim_whitespace(values.cast(pa.string()))


def _as_floats(values: pa.Array) -> NDArray[Any]:
    """Return numbers, or text that looks like them: `(rows,) float64`, NaN where one is missing.

    Raises:
        pyarrow.ArrowInvalid: A text is no number.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if _is_text(values.type):
        values = _as_text(values)
        values = pc.if_else(pc.equal(values, ""), pa.scalar(None, pa.string()), values)
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.uint8())
    numbers = values.cast(pa.float64()).fill_null(np.nan)
    return numbers.to_numpy(zero_copy_only=False)
