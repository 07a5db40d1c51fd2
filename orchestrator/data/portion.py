"""A portion of a split's rows: read, dealt out to streams, and put into their shards.

Portions are brought in by as many processes as there are. What has reached the disk is noted beside
the shards, so that whoever comes after a process that was killed goes on where it was.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from orchestrator.data.blocks import Block, blocks
from orchestrator.data.order import ROUNDS_PER_BLOCK, deal
from orchestrator.data.shard_writer import ShardWriter
from orchestrator.data.source import Source
from orchestrator.storage.atomic import read_json, write_json

#: Folder, in that of an unfinished dataset, of what was noted.
NOTES = ".notes"

#: Bytes that are read, dealt and written at a time.
_SLICE_BYTES = 16 << 20

#: Bytes after which what was written is brought to disk, and that is noted.
_SYNC_BYTES = 256 << 20

#: Bytes of a portion, where a split can be read from any row.
_PORTION_BYTES = 2 << 30

#: Slices that are dealt and written at the same time: copying rows keeps one core busy.
_WRITERS = 2


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
        done = self._noted()
        if done == self.stop:
            return
        unsynced = 0
        # While rows are read, those before them are written, and those before them flushed. Few
        # slices wait, so memory stays bounded, and the disk sets the pace.
        with ThreadPoolExecutor(_WRITERS) as writing, ThreadPoolExecutor(1) as flushing:
            written: deque[Future[None]] = deque()
            flushed: Future[None] = _nothing()
            for rows in self._slices(done):
                while len(written) >= _WRITERS:
                    written.popleft().result()
                written.append(writing.submit(self._write, done, rows))
                count = len(rows[self.source.label.name])
                done += count
                unsynced += count * _row_bytes(self.writer)
                if unsynced >= _SYNC_BYTES:
                    while written:
                        written.popleft().result()
                    flushed.result()
                    flushed = flushing.submit(self._flush, done)
                    unsynced = 0
                progress(done - self.first)
            while written:
                written.popleft().result()
            flushed.result()
        self._flush(done)

    def _slices(self, first: int) -> Iterator[Block]:
        writer = self.writer
        size = self._rounds_at_a_time * writer.streams
        stop = None if self.stop == writer.rows else self.stop
        return blocks(self.source, writer.split, size=size, first=first, stop=stop)

    def _write(self, first: int, rows: Block) -> None:
        writer = self.writer
        count = len(rows[self.source.label.name])
        dealt = deal(
            first=first, count=count, rows=writer.rows, streams=writer.streams, seed=self.seed
        )
        writer.write(first, rows, dealt)

    def _flush(self, done: int) -> None:
        """Bring what was written to disk, and note that."""
        self.writer.sync()
        write_json(self._note, done)

    @property
    def noted_rows(self) -> int:
        """How many of its rows are on disk."""
        return self._noted() - self.first

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


def _nothing() -> Future[None]:
    """Return something that is done already."""
    done: Future[None] = Future()
    done.set_result(None)
    return done


def _row_bytes(writer: ShardWriter) -> int:
    return sum(column.row_bytes for column in writer.columns)
