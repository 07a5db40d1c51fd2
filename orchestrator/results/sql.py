"""SQL over the results tables: DuckDB, in this process, and nothing but reading."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    import pyarrow.dataset as ds


def select(text: str, tables: Mapping[str, ds.Dataset | pa.Table]) -> pa.Table:
    """Answer a SELECT; only the columns and files that it needs are read.

    Args:
        text: One statement, in DuckDB's SQL.
        tables: What it may read, by name.

    Raises:
        UsageError: It is not one SELECT, names a table or column that isn't there, or reaches for
            anything besides the tables.
    """
    import duckdb

    with duckdb.connect() as connection:
        for name, table in tables.items():
            connection.register(name, table)
        # Neither files, networks, extensions nor variables of Python: the tables are all there is.
        for setting in (
            "python_enable_replacements = false",
            "enable_external_access = false",
            "lock_configuration = true",
        ):
            connection.execute(f"SET {setting}")
        try:
            _check_select(connection.extract_statements(text))
            found = connection.sql(text).to_arrow_table()
        except duckdb.Error as err:
            raise UsageError(
                f"That is no SQL for the results: {_told(err)}", hint=_hint(tables)
            ) from err
    return found


def _check_select(statements: list[duckdb.Statement]) -> None:
    import duckdb

    if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
        raise UsageError(
            "Only one SELECT can be asked of the results.",
            hint="launch-job results --sql 'SELECT job, max(accuracy) FROM reports GROUP BY job'",
        )


def _told(err: Exception) -> str:
    """Return DuckDB's message without the picture of the statement that it ends with."""
    return " ".join(str(err).partition("\n\nLINE ")[0].split())


def _hint(tables: Mapping[str, ds.Dataset | pa.Table]) -> str:
    lines = (f"{name}: {', '.join(table.schema.names)}" for name, table in tables.items())
    return "The tables and their columns are:\n  " + "\n  ".join(lines)
