from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from orchestrator.data.manifest import ROW_COLUMN
from orchestrator.data.prepare import prepare
from orchestrator.data.shards import open_stream
from orchestrator.data.source import Batch, Column, Source, SourceContext, Split, counted
from orchestrator.errors import UsageError
from orchestrator.storage.storage import Storage


class Stream:
    """Rows that come without their number, and how often they were asked for."""

    def __init__(self, *batches: int) -> None:
        self.batches = batches
        self.readings = 0

    def __call__(self) -> Iterator[Batch]:
        self.readings += 1
        first = 0
        for rows in self.batches:
            numbers = np.arange(first, first + rows)
            yield {"x": numbers.astype(np.float32), "label": numbers % 2}
            first += rows


@pytest.fixture
def context(tmp_path):
    told = []
    context = SourceContext(
        data_dir=None, cache_dir=tmp_path / "cache", progress=lambda *news: told.append(news)
    )
    return context, told


def source(split: Split, digest: str) -> Source:
    return Source(
        features=(Column(name="x", dtype="float32"),),
        label=Column(name="label", dtype="int64"),
        classes=("even", "odd"),
        splits={"train": split, "test": split},
        digest=digest,
        origin="a stream",
    )


def test_rows_of_unknown_number_are_counted_and_prepared(context, tmp_path):
    where, told = context
    stream = Stream(3, 0, 40, 7)
    split = counted(stream, name="train", digest="a", context=where)
    assert split.rows == 50
    assert told[-1] == ("Counting rows of train", 50, None)
    made = prepare("made-up", source(split, "a"), streams=3, storage=Storage.at(str(tmp_path)))
    rows = [
        row
        for stream in range(3)
        for row in open_stream(made.folder, made.manifest, "train", stream)[ROW_COLUMN]
    ]
    assert sorted(rows) == list(range(50))


def test_rows_are_counted_once_for_each_digest(context):
    where, _ = context
    stream = Stream(3, 4)
    for _ in range(3):
        assert counted(stream, name="train", digest="a", context=where).rows == 7
    assert stream.readings == 1
    counted(stream, name="test", digest="a", context=where)
    counted(stream, name="train", digest="b", context=where)
    assert stream.readings == 3


def test_a_damaged_count_is_made_anew(context):
    where, _ = context
    counted(Stream(5), name="train", digest="a", context=where)
    (note,) = Path(where.cache_dir / "counts").iterdir()
    note.write_text("{")
    assert counted(Stream(5), name="train", digest="a", context=where).rows == 5


def test_a_stream_that_has_grown_under_its_digest_is_refused(context, tmp_path):
    where, _ = context
    counted(Stream(5), name="train", digest="a", context=where)
    grown = source(counted(Stream(6), name="train", digest="a", context=where), "a")
    with pytest.raises(UsageError, match="more than 5 rows") as refused:
        prepare("made-up", grown, streams=2, storage=Storage.at(str(tmp_path)))
    assert "digest" in refused.value.hint
