"""A portion of a split's rows: read, dealt out to streams, and put into their shards.

Portions are brought in by as many processes as there are. What has reached the disk is noted beside
the shards, so that whoever comes after a process that was killed goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.data.blocks import blocks
from orchestrator.data.order import ROUNDS_PER_BLOCK, deal
from orchestrator.data.shard_writer import ShardWriter
from orchestrator.data.source import Source
from orchestrator.storage import read_json, write_json

#: Folder, in that of an unfinished dataset, of what was noted.
NOTES = ".notes"

#: Bytes that are read, dealt and written at a time.
_SLICE_BYTES = 16 << 20

#: Bytes after which what was written is brought to disk, and that is noted.
_SYNC_BYTES = 512 << 20

#: Bytes of a portion, where a split can be read from any row.
_PORTION_BYTES = 2 << 30


@dataclass(frozen=True, kw_only=True)
class Portion:
    """Rows of a split that one process brings in."""

    #: Where the rows come from.
    source: Source
    #: Where they go to.
    writer: ShardWriter
    #: Number of the first row in the split.
    first: int
    #: Number of the row to end before.
    stop: int
    #: Seed of the dealing.
    seed: int

    def bring(self, progress: Callable[[int], None]) -> None:
        """Bring all rows into the shards that aren't there yet.

        Args:
            progress: Told how many rows of the portion are done.

        Raises:
            UsageError: The source yields something else than it declared.
            UnavailableError: What was noted is damaged.
            OSError: The storage can't be written or is full.
        """
        writer, streams = self.writer, self.writer.streams
        done = self._noted()
        size = self._rounds_at_a_time * streams
        stop = None if self.stop == writer.rows else self.stop
        if done == self.stop:
            return
        unsynced = 0
        for rows in blocks(self.source, writer.split, size=size, first=done, stop=stop):
            count = len(rows[self.source.label.name])
            dealt = deal(first=done, count=count, rows=writer.rows, streams=streams, seed=self.seed)
            writer.write(done, rows, dealt)
            done += count
            unsynced += count * _row_bytes(writer)
            if unsynced >= _SYNC_BYTES or done == self.stop:
                writer.sync()
                write_json(self._note, done)
                unsynced = 0
            progress(done - self.first)

    def _noted(self) -> int:
        return int(read_json(self._note)) if self._note.exists() else self.first

    @property
    def _note(self) -> Path:
        return self.writer.folder / NOTES / f"{self.writer.split}-{self.first}.json"

    @property
    def _rounds_at_a_time(self) -> int:
        """Rounds of a slice: so many that slices never cross a block of the dealing."""
        rounds = ROUNDS_PER_BLOCK
        while rounds > 1 and rounds * self.writer.streams * _row_bytes(self.writer) > _SLICE_BYTES:
            rounds //= 2
        return rounds


def portions(source: Source, writer: ShardWriter, *, seed: int) -> list[Portion]:
    """Cut a split into portions; into one, if it can be read in its order only."""
    size = max(1, writer.rows)
    if source.splits[writer.split].read_from is not None:
        block = ROUNDS_PER_BLOCK * writer.streams
        size = max(1, _PORTION_BYTES // (block * _row_bytes(writer))) * block
    return [
        Portion(
            source=source,
            writer=writer,
            first=first,
            stop=min(first + size, writer.rows),
            seed=seed,
        )
        for first in range(0, max(1, writer.rows), size)
    ]


def _row_bytes(writer: ShardWriter) -> int:
    return sum(column.row_bytes for column in writer.columns)
