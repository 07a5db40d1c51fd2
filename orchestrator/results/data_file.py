"""A file of a Delta table: rows as Parquet, and what the table's log says of it.

Delta's own writer plans each write as a query, which takes longer than all the rest for the few
rows of a run. What is written here is what its protocol asks for:
https://github.com/delta-io/delta/blob/master/PROTOCOL.md#add-file-and-remove-file
"""

from __future__ import annotations

import json
import time
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

from orchestrator.results.table_place import TablePlace

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake.transaction import AddAction


def write_data_file(place: TablePlace, rows: pa.Table, *, bounded: list[str]) -> AddAction:
    """Write rows into a new file of a table; they are in the table once the action is committed.

    Args:
        place: Where the table lies.
        rows: The rows; at least one.
        bounded: Those columns whose bounds are noted, so that readers can leave the file out.

    Raises:
        OSError: It can't be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from deltalake.transaction import AddAction

    name, content = f"part-{uuid.uuid4()}.parquet", pa.BufferOutputStream()
    # So few rows repeat little: a dictionary would only cost time.
    pq.write_table(rows, content, use_dictionary=False)
    data = content.getvalue()
    # At once: a store of objects is asked for one thing only.
    with place.file_system.open_output_stream(name) as file:
        file.write(data)
    return AddAction(
        path=name,
        size=data.size,
        partition_values={},
        modification_time=int(time.time() * 1000),
        data_change=True,
        stats=json.dumps(_statistics(rows, bounded)),
    )


def _statistics(rows: pa.Table, bounded: list[str]) -> dict[str, Any]:
    import pyarrow.compute as pc

    bounds = {name: pc.min_max(rows[name]).as_py() for name in bounded}
    known = {name: found for name, found in bounds.items() if found["min"] is not None}
    return {
        "numRecords": rows.num_rows,
        "minValues": {name: _text(found["min"]) for name, found in known.items()},
        "maxValues": {name: _text(found["max"]) for name, found in known.items()},
        "nullCount": {name: rows[name].null_count for name in bounded},
    }


def _text(bound: str | datetime) -> str:
    return bound if isinstance(bound, str) else bound.isoformat().replace("+00:00", "Z")
