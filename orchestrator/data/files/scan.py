"""What looking through a table found, which is remembered as long as its files stay as they are."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.catalog.info import Column
from orchestrator.data.files.classes import Classes
from orchestrator.data.files.columns import ColumnScan
from orchestrator.data.files.tables import Table
from orchestrator.data.manifest import ROW_COLUMN
from orchestrator.data.source import SourceContext
from orchestrator.errors import UnavailableError, UsageError
from orchestrator.storage.atomic import read_json, write_json

#: Raise it when tables are looked through, or become arrays, differently.
VERSION = 1

#: Name of the one feature that a table's numbers are brought into for a job that takes an array.
ARRAY_FEATURE = "numbers"


@dataclass(frozen=True, kw_only=True)
class TableScan:
    """What was found in the tables of a dataset."""

    #: State of each table's files, by the name of the table: `train` and `test`, or `all`.
    states: Mapping[str, tuple[int, ...]]
    #: Column to learn.
    label: str
    #: The other columns.
    columns: tuple[Column, ...]
    #: The one feature that they are brought into; None: each is a feature.
    feature: Column | None
    #: Name of each class.
    classes: tuple[str, ...]
    #: Rows of each class, in all tables.
    class_rows: tuple[int, ...]
    #: Rows of each table.
    rows: Mapping[str, int]
    #: SHA-256 that changes with any value, and with what was asked.
    digest: str

    @property
    def features(self) -> tuple[Column, ...]:
        """Model inputs."""
        return self.columns if self.feature is None else (self.feature,)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TableScan:
        """Build it from what `dataclasses.asdict` returned."""
        feature = values["feature"]
        return cls(
            **{
                **values,
                "states": {part: tuple(state) for part, state in values["states"].items()},
                "columns": tuple(Column.from_dict(c) for c in values["columns"]),
                "feature": None if feature is None else Column.from_dict(feature),
                "classes": tuple(values["classes"]),
                "class_rows": tuple(values["class_rows"]),
            }
        )


def look_through(
    tables: Mapping[str, Table],
    *,
    label: str,
    shape: tuple[int, ...] | None,
    context: SourceContext,
) -> TableScan:
    """Look at all rows of tables, unless that was done before and they are as they were.

    Args:
        tables: `train` and `test`, or `all`.
        label: Column to learn.
        shape: Shape that the numbers of a row are brought to; None: each column is an input.
        context: Told how far it is; what was found is kept in its cache.

    Raises:
        UsageError: The tables can't be learnt from as they are; the message says where and why.
    """
    names = _checked_names(tables, label)
    states = {part: table.state() for part, table in tables.items()}
    asked = (VERSION, label, shape, [(part, t.where, states[part]) for part, t in tables.items()])
    kept = context.cache_dir / "scans" / f"{hashlib.sha256(repr(asked).encode()).hexdigest()}.json"
    lasting = all(states.values())
    if lasting and (found := _kept(kept)) is not None:
        return found
    found = _look_through(tables, states, names, label, shape, context)
    if lasting:
        # Where there is no room for a note, the next run looks through the table again.
        with contextlib.suppress(UnavailableError):
            write_json(kept, asdict(found))
    return found


def _kept(path: Path) -> TableScan | None:
    try:
        return TableScan.from_dict(read_json(path)) if path.is_file() else None
    except (UnavailableError, KeyError, TypeError, AttributeError):
        return None  # A damaged note is as good as none: the table is looked through anew.


def _look_through(
    tables: Mapping[str, Table],
    states: Mapping[str, tuple[int, ...]],
    names: list[str],
    label: str,
    shape: tuple[int, ...] | None,
    context: SourceContext,
) -> TableScan:
    scans = {name: ColumnScan(name, _where(tables, name)) for name in names if name != label}
    classes = Classes(_where(tables, label))
    rows = {part: _scan(t, label, scans, classes, context) for part, t in tables.items()}
    class_names, class_rows = classes.finish()
    columns = tuple(scan.column() for scan in scans.values())
    digests = [f"{part} {table.digest()}" for part, table in tables.items()]
    for part, table in tables.items():
        check_unchanged(table, states[part])
    return TableScan(
        states=states,
        label=label,
        columns=columns,
        feature=None if shape is None else _to_array(scans, columns, shape, where=_name(tables)),
        classes=class_names,
        class_rows=class_rows,
        rows=rows,
        digest=hashlib.sha256(repr((VERSION, label, shape, digests)).encode()).hexdigest(),
    )


def check_unchanged(table: Table, state: tuple[int, ...]) -> None:
    """Refuse what was read of a table that isn't any more as it was.

    Raises:
        UsageError: It has changed.
    """
    if table.state() != state:
        raise UsageError(
            f"{table.where} has changed while it was read.",
            hint="Wait until it is complete, and start again.",
        )


def _scan(
    table: Table,
    label: str,
    scans: Mapping[str, ColumnScan],
    classes: Classes,
    context: SourceContext,
) -> int:
    """Look at all rows; return how many there are."""
    rows = 0
    tell: Callable[[int, int], None] = partial(context.progress, f"Looking through {table.where}")
    for batch in table.batches(tell):
        if len(batch):
            classes.add(batch[label], first=rows + 1)
            for name, scan in scans.items():
                scan.add(batch[name], first=rows + 1)
        rows += len(batch)
    if not rows:
        raise UsageError(f"{table.where} has no rows.")
    return rows


def _to_array(
    scans: Mapping[str, ColumnScan],
    columns: tuple[Column, ...],
    shape: tuple[int, ...],
    *,
    where: str,
) -> Column:
    """Return the one feature that all columns are brought into.

    Raises:
        UsageError: They are too many or too few for it, or hold text.
    """
    wanted = " × ".join(str(size) for size in shape)
    if text := [column.name for column in columns if column.is_text]:
        raise UsageError(
            f"{where}: column {text[0]!r} holds text; this job takes {wanted} numbers a row.",
            hint="Leave it out, or train a job for tables, such as mlp-table.",
        )
    count = sum(math.prod(column.shape) for column in columns)
    if len(columns) == 1 and columns[0].shape:
        flat = len(columns[0].shape) == 1 and count == math.prod(shape)
        return dataclasses.replace(columns[0], shape=shape) if flat else columns[0]
    if count != math.prod(shape):
        raise UsageError(
            f"{where} has {count} numbers a row; this job takes {wanted} = {math.prod(shape)}.",
            hint="Bring its columns to that number, or train a job for tables, such as mlp-table.",
        )
    whole = all(scan.bytes for scan in scans.values())
    return Column(name=ARRAY_FEATURE, dtype="uint8" if whole else "float32", shape=shape)


def _checked_names(tables: Mapping[str, Table], label: str) -> list[str]:
    """Return the names of the columns, which all tables have to share.

    Raises:
        UsageError: They don't, the label is not among them, or one can't be a name.
    """
    first, *others = tables.values()
    names = first.names()
    for table in others:
        if differing := set(names) ^ set(table.names()):
            raise UsageError(
                f"{first.where} and {table.where} differ in columns: "
                f"{', '.join(sorted(differing))}."
            )
    if label not in names:
        raise UsageError(
            f"{first.where} has no column {label!r}.",
            hint=f"Name the one to learn with --label; there are: {', '.join(names)}.",
        )
    if len(names) == 1:
        raise UsageError(f"{first.where} has no column besides {label!r}: nothing to learn from.")
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{first.where} has {names.count(name)} columns {name!r}.")
        if not name.strip() or "/" in name or ".." in name or name == ROW_COLUMN:
            raise UsageError(
                f"{first.where}: {name!r} can't be the name of a column.", hint="Call it otherwise."
            )
    return names


def _where(tables: Mapping[str, Table], column: str) -> str:
    return f"{_name(tables)}, column {column!r}"


def _name(tables: Mapping[str, Table]) -> str:
    return " and ".join(table.where for table in tables.values())
