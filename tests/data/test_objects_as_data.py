"""Data in object stores, read where it lies."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from orchestrator.data.files.detect import file_source
from orchestrator.data.source import SourceContext
from orchestrator.errors import UnavailableError, UsageError
from orchestrator.storage.object_stores import store_of

ROWS = 2000


@pytest.fixture
def files(bucket):
    """A table in two formats, and one of two files that are a split."""
    place = bucket.partition("://")[2]
    system = store_of(bucket).file_system(place)
    numbers = np.arange(ROWS)
    table = pa.table({"number": numbers, "kind": (numbers % 2).astype(str)})
    parquet.write_table(table, f"{place}/rows.parquet", filesystem=system)
    for name in ("rows.csv", "split/train.csv", "split/test.csv"):
        with system.open_output_stream(f"{place}/{name}") as file:
            csv.write_csv(table, file)
    return bucket


@pytest.fixture
def read(tmp_path):
    context = SourceContext(data_dir=None, cache_dir=tmp_path)
    return lambda uri: file_source(uri, label="kind", shape=None, context=context)


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv"])
def test_a_table_is_read_where_it_lies(files, read, name):
    source = read(f"{files}/{name}")
    numbers = [b["number"] for split in source.splits.values() for b in split.read()]
    assert sorted(np.concatenate(numbers).tolist()) == list(range(ROWS))
    assert source.origin == f"{files}/{name}"


def test_a_folder_may_hold_a_split(files, read):
    assert [split.rows for split in read(f"{files}/split").splits.values()] == [ROWS, ROWS]


def test_what_is_not_there_is_named(files, read):
    with pytest.raises(UsageError, match=f"no file {files}/nothing"):
        read(f"{files}/nothing.csv")


def test_a_server_that_does_not_answer_is_unavailable(read, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(UnavailableError, match=r"s3://bucket/rows\.csv can't be read"):
        read("s3://bucket/rows.csv")
