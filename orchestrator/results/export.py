"""Results as a file that other tools read: CSV, JSON or Parquet."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from orchestrator.storage.atomic import finite

if TYPE_CHECKING:
    import pyarrow as pa

#: Kinds of files.
Format = Literal["csv", "json", "parquet"]


def encode(table: pa.Table, kind: Format) -> bytes:
    """Return a table as the content of a file.

    In CSV, which has no lists, they are JSON. JSON is an array with a line for each row; a number
    that it has no word for, such as a loss of NaN, is null.
    """
    import pyarrow as pa

    if kind == "json":
        lines = (json.dumps(row, ensure_ascii=False) for row in plain_rows(table))
        return ("[" + ",\n".join(lines) + "]\n").encode()
    sink = pa.BufferOutputStream()
    if kind == "csv":
        import pyarrow.csv

        pyarrow.csv.write_csv(_flat(table), sink)
    else:
        import pyarrow.parquet

        pyarrow.parquet.write_table(table, sink)
    return sink.getvalue().to_pybytes()


def plain_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return the rows of a table as JSON values."""
    return [{key: _plain(value) for key, value in row.items()} for row in table.to_pylist()]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return finite(value) if isinstance(value, (float, int, str, list, dict)) else _text(value)


def _text(value: Any) -> Any:
    return value if value is None else str(value)


def _flat(table: pa.Table) -> pa.Table:
    """Return a table whose lists and structs are JSON."""
    import pyarrow as pa

    for index, field in enumerate(table.schema):
        if pa.types.is_nested(field.type):
            texts = [
                None if value is None else json.dumps(value, ensure_ascii=False, default=str)
                for value in table.column(index).to_pylist()
            ]
            table = table.set_column(index, field.name, pa.array(texts, pa.string()))
    return table
