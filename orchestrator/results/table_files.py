"""The files of one version of a table, and what its log tells of each, so that few are opened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

#: What is known of a file, and what Delta calls it: its first and last run, and when its latest was
#: asked for.
_TOLD = {"path": "path", "first": "min.run_id", "last": "max.run_id", "latest": "max.started_at"}


@dataclass(frozen=True, kw_only=True)
class TableFiles:
    """The files; one that does not tell something may hold any run."""

    #: A row a file, with the columns `path`, `first`, `last` and `latest`; null: it is not told.
    told: pa.Table

    @classmethod
    def of(cls, delta: DeltaTable | None) -> TableFiles:
        """Return the files of a version; none of a table that isn't there yet."""
        import pyarrow as pa

        types = {name: pa.string() for name in _TOLD} | {"latest": pa.timestamp("us", tz="UTC")}
        schema = pa.schema(types)
        if delta is None:
            return cls(told=schema.empty_table())
        found = pa.table(delta.get_add_actions(flatten=True))
        columns = [
            found[name] if name in found.column_names else pa.nulls(found.num_rows)
            for name in _TOLD.values()
        ]
        return cls(told=pa.table(columns, names=[*_TOLD]).cast(schema))

    def since(self, time: datetime | None) -> list[str]:
        """Return the files that may hold runs asked for at a time or later; None: all."""
        import pyarrow.compute as pc

        if time is None:
            return self.told["path"].to_pylist()
        late = pc.fill_null(pc.greater_equal(self.told["latest"], time), True)
        return self.told["path"].filter(late).to_pylist()

    def of_runs(self, run_ids: Sequence[str]) -> list[str]:
        """Return the files that may hold rows of some runs."""
        columns = (self.told[name].to_pylist() for name in ("path", "first", "last"))
        return [
            path
            for path, first, last in zip(*columns, strict=True)
            if first is None or last is None or any(first <= run_id <= last for run_id in run_ids)
        ]

    def latest_first(self) -> Iterator[tuple[str, datetime | None]]:
        """Yield each file with when its latest run was asked for, those first that don't tell."""
        import pyarrow.compute as pc

        order = pc.sort_indices(self.told, [("latest", "descending", "at_start")])
        # One by one: few are asked for, and a time is slow to make.
        for n in order.to_pylist():
            yield self.told["path"][n].as_py(), self.told["latest"][n].as_py()
