from __future__ import annotations

import dataclasses
import functools
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from orchestrator.data.batches import evaluation_batches
from orchestrator.data.cache import StoredShards
from orchestrator.data.manifest import MANIFEST_FILE, ROW_COLUMN, Manifest
from orchestrator.data.order import stream_rows
from orchestrator.data.prepare import PreparedDataset, prepare, verify
from orchestrator.data.shards import open_stream
from orchestrator.data.source import Batch, Column, Source, Split, in_memory
from orchestrator.errors import UnavailableError, UsageError
from orchestrator.storage.storage import Storage


@pytest.fixture
def storage(tmp_path) -> Storage:
    return Storage.at(str(tmp_path / "store"))


def rows_of(prepared: PreparedDataset, split: str) -> list[tuple[int, dict[str, np.ndarray]]]:
    return list(
        evaluation_batches(
            StoredShards(prepared.folder, prepared.manifest), worker=0, workers=1, split=split
        )
    )


@pytest.mark.parametrize(("rows", "streams"), [(100, 8), (2048, 8), (5000, 3), (2, 8), (7, 1)])
def test_every_row_is_in_one_stream_whole(make_source, storage, rows, streams):
    prepared = prepare("made-up", make_source(train=rows), streams=streams, storage=storage)
    held = [batch for _, batch in rows_of(prepared, "train")]
    numbers = np.concatenate([batch[ROW_COLUMN] for batch in held])
    images = np.concatenate([batch["image"] for batch in held])
    labels = np.concatenate([batch["label"] for batch in held])
    assert sorted(numbers.tolist()) == list(range(rows))
    np.testing.assert_array_equal(images, numbers[:, None, None] * np.ones((1, 2, 3)))
    np.testing.assert_array_equal(labels, numbers % 5)
    assert [shard.rows for shard in prepared.manifest.splits["train"]] == [
        stream_rows(rows=rows, streams=streams, stream=s) for s in range(streams)
    ]
    verify(prepared)


def test_the_size_of_the_sources_batches_changes_nothing(make_source, tmp_path):
    digests = set()
    for batch_rows in (1, 999, 10_000):
        source = make_source(train=3000)
        (whole,) = [
            {n: np.concatenate([b[n] for b in batches]) for n in ("image", "label")}
            for batches in [list(source.splits["train"].read())]
        ]
        splits = {**source.splits, "train": in_memory(whole, batch_rows=batch_rows)}
        prepared = prepare(
            "made-up",
            dataclasses.replace(source, splits=splits),
            streams=4,
            storage=Storage.at(str(tmp_path / str(batch_rows))),
        )
        digests.add(tuple(shard.sha256 for shard in prepared.manifest.splits["train"]))
    assert len(digests) == 1


def test_arrow_reads_the_shards_without_us(make_source, storage):
    prepared = prepare("made-up", make_source(), streams=4, storage=storage)
    with pa.memory_map(str(prepared.folder / "train" / "stream-0002.arrow")) as file:
        table = pa.ipc.open_file(file).read_all()
    assert table.schema.field("image").type == pa.fixed_shape_tensor(pa.float32(), (2, 3))
    assert table.schema.field("label").type == pa.int64()
    images = table.column("image").combine_chunks().to_numpy_ndarray()
    np.testing.assert_array_equal(images[:, 0, 0], table.column(ROW_COLUMN).to_numpy())


def test_streams_are_mapped_not_copied(make_source, storage):
    prepared = prepare("made-up", make_source(), streams=4, storage=storage)
    before = pa.total_allocated_bytes()
    for values in open_stream(prepared.folder, prepared.manifest, "train", 0).values():
        assert not values.flags.owndata
        assert not values.flags.writeable
        assert values.flags.c_contiguous
    assert pa.total_allocated_bytes() == before


def test_big_endian_and_several_features_are_kept(make_source, storage):
    wide = np.arange(12, dtype=">i4").reshape(6, 2)
    narrow = np.linspace(0, 1, 6).astype(np.float16)
    rows = {"wide": wide, "narrow": narrow, "label": np.zeros(6, np.int64)}
    source = make_source(
        features=(
            Column(name="wide", dtype="int32", shape=(2,)),
            Column(name="narrow", dtype="float16"),
        ),
        splits={"train": in_memory(rows), "test": in_memory(rows), "a-third": in_memory(rows)},
    )
    prepared = prepare("made-up", source, streams=2, storage=storage)
    for _, batch in rows_of(prepared, "a-third"):
        np.testing.assert_array_equal(batch["wide"], wide[batch[ROW_COLUMN]])
        np.testing.assert_array_equal(batch["narrow"], narrow[batch[ROW_COLUMN]])


def test_a_second_time_nothing_is_read(make_source, storage):
    source = make_source()
    first = prepare("made-up", source, streams=4, storage=storage)

    def fail() -> None:
        raise AssertionError("the source was read")

    unreadable = {name: Split(rows=s.rows, read=fail) for name, s in source.splits.items()}
    again = prepare(
        "made-up", dataclasses.replace(source, splits=unreadable), streams=4, storage=storage
    )
    assert (first.cached, again.cached) == (False, True)
    assert again.manifest == first.manifest
    assert first.manifest == Manifest.read(first.folder)


def test_another_request_is_another_folder(make_source, storage):
    source = make_source()
    folders = {
        prepare(name, src, streams=streams, seed=seed, storage=storage).folder
        for name, src, streams, seed in [
            ("made-up", source, 4, 0),
            ("other", source, 4, 0),
            ("made-up", source, 3, 0),
            ("made-up", source, 4, 1),
            ("made-up", dataclasses.replace(source, digest="other"), 4, 0),
        ]
    }
    assert len(folders) == 5


def test_progress_ends_at_all_rows(make_source, storage):
    told: list[tuple[str, int, int]] = []
    prepare(
        "made-up",
        make_source(train=3000),
        streams=2,
        storage=storage,
        progress=lambda *news: told.append(news),
    )
    assert ("train", 3000, 3000) in told
    assert ("train", 512, 3000) in told
    assert told[-1] == ("test", 23, 23)


def broken(make_source, **columns: np.ndarray) -> Source:
    good = {
        "image": np.zeros((6, 2, 3), np.float32),
        "label": np.arange(6) % 5,
    }
    split = Split(rows=6, read=lambda: iter([good | columns]))
    return make_source(splits={"train": in_memory(good), "test": split})


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"image": np.zeros((6, 3, 2), np.float32)}, r"'image' .*float32 \(3, 2\).*\(2, 3\)"),
        ({"image": np.zeros((6, 2, 3))}, "'image' .*float64.*declared float32"),
        ({"label": np.array([0, 1, 2, 3, 4, 5])}, "'label' has labels from 0 to 5; 5 classes"),
        ({"label": np.array([0, 1, 2, -1, 4, 0])}, "'label' has labels from -1"),
        ({"label": np.zeros(5, np.int64)}, "differ in length"),
    ],
)
def test_a_source_that_yields_something_else_is_refused(make_source, storage, columns, words):
    with pytest.raises(UsageError, match=f"Split test: .*{words}"):
        prepare("made-up", broken(make_source, **columns), streams=2, storage=storage)
    assert_nothing_left(storage)


def test_a_missing_column_is_refused(make_source, storage):
    split = Split(rows=1, read=lambda: iter([{"label": np.zeros(1, np.int64)}]))
    source = make_source(splits={"train": split, "test": split})
    with pytest.raises(UsageError, match="lacks column 'image'"):
        prepare("made-up", source, streams=2, storage=storage)


@pytest.mark.parametrize(("declared", "held"), [(99, "more than 99"), (101, "100")])
def test_another_number_of_rows_is_refused(make_source, storage, declared, held):
    source = make_source()
    wrong = dataclasses.replace(source.splits["train"], rows=declared)
    source = dataclasses.replace(source, splits={**source.splits, "train": wrong})
    with pytest.raises(UsageError, match=f"train has {held} rows; its source declared {declared}"):
        prepare("made-up", source, streams=2, storage=storage)
    assert_nothing_left(storage)


@pytest.mark.parametrize(
    "changes",
    [
        {"label": Column(name="label", dtype="float32")},
        {"label": Column(name="label", dtype="int64", shape=(2,))},
        {"label": Column(name="image", dtype="int64")},
        {"splits": {}},
        {"features": (Column(name="image", dtype="bool"),)},
        {"features": (Column(name="image", dtype="U5"),)},
    ],
)
def test_a_source_that_makes_no_sense_can_not_be_made(make_source, changes):
    with pytest.raises(ValueError, match=r"label|share a name|splits|can't be of"):
        make_source(**changes)


def shard_of(prepared: PreparedDataset) -> Path:
    return prepared.folder / "train" / "stream-0001.arrow"


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(b"short")])
def test_a_missing_or_short_shard_is_named_with_the_mend(make_source, storage, spoil):
    prepared = prepare("made-up", make_source(), streams=4, storage=storage)
    spoil(shard_of(prepared))
    for use in (
        lambda: prepare("made-up", make_source(), streams=4, storage=storage),
        lambda: open_stream(prepared.folder, prepared.manifest, "train", 1),
        lambda: verify(prepared),
    ):
        with pytest.raises(UnavailableError, match=str(shard_of(prepared))) as caught:
            use()
        assert f"Remove {prepared.folder}" in (caught.value.hint or "")
    shutil.rmtree(prepared.folder)
    verify(prepare("made-up", make_source(), streams=4, storage=storage))


def test_a_flipped_bit_is_found_by_verify(make_source, storage):
    prepared = prepare("made-up", make_source(), streams=4, storage=storage)
    data = bytearray(shard_of(prepared).read_bytes())
    data[len(data) // 2] ^= 1
    shard_of(prepared).write_bytes(data)
    with pytest.raises(UnavailableError, match="SHA-256"):
        verify(prepared)


def test_a_shard_of_rubbish_is_named(make_source, storage):
    prepared = prepare("made-up", make_source(), streams=4, storage=storage)
    shard_of(prepared).write_bytes(b"x" * shard_of(prepared).stat().st_size)
    with pytest.raises(UnavailableError, match=str(shard_of(prepared))):
        open_stream(prepared.folder, prepared.manifest, "train", 1)


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_text("{}")])
def test_a_missing_or_damaged_manifest_is_named_with_the_mend(make_source, storage, spoil):
    prepared = prepare("made-up", make_source(), streams=4, storage=storage)
    spoil(prepared.folder / MANIFEST_FILE)
    with pytest.raises(UnavailableError, match=MANIFEST_FILE) as caught:
        prepare("made-up", make_source(), streams=4, storage=storage)
    assert f"Remove {prepared.folder}" in (caught.value.hint or "")


def test_nothing_else_lies_in_the_folder(make_source, storage):
    prepared = prepare("made-up", make_source(), streams=2, storage=storage)
    files = {str(p.relative_to(prepared.folder)) for p in prepared.folder.rglob("*") if p.is_file()}
    shards = {shard.file for shards in prepared.manifest.splits.values() for shard in shards}
    assert files == {MANIFEST_FILE} | shards
    assert [p.name for p in prepared.folder.parent.iterdir()] == [prepared.folder.name]


def _prepare_in_process(path: str, make: object) -> tuple[Path, bool]:
    prepared = prepare("made-up", make(), streams=4, storage=Storage.at(path))  # type: ignore[operator]
    verify(prepared)
    return prepared.folder, prepared.cached


def slow_source() -> Source:
    """A source for other processes, large enough that they overlap."""
    numbers = np.arange(30_000)
    split = in_memory({"x": numbers.astype(np.float32), "label": numbers % 2}, batch_rows=100)
    return Source(
        features=(Column(name="x", dtype="float32"),),
        label=Column(name="label", dtype="int64"),
        classes=("a", "b"),
        splits={"train": split, "test": split},
        digest="slow",
        origin="made up",
    )


def test_two_at_once_do_not_harm_each_other(tmp_path):
    with ProcessPoolExecutor(4, mp_context=get_context("fork")) as pool:
        futures = [pool.submit(_prepare_in_process, str(tmp_path), slow_source) for _ in range(4)]
        folders = {future.result()[0] for future in futures}
    (folder,) = folders
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]


def digests(prepared: PreparedDataset) -> list[str]:
    return [shard.sha256 for shards in prepared.manifest.splits.values() for shard in shards]


@pytest.mark.parametrize("seekable", [True, False])
def test_a_killed_preparation_goes_on_where_it_was(make_source, storage, monkeypatch, seekable):
    whole = prepare("whole", make_source(train=9000), streams=4, storage=storage)
    source = make_source(train=9000)
    rows = source.splits["train"]
    begun: list[int] = []

    def read(first: int = 0, *, die_at: int | None = None) -> Iterator[Batch]:
        begun.append(first)
        for batch in rows.batches(first):
            if die_at is not None and batch["image"].max() >= die_at:
                os.kill(os.getpid(), signal.SIGKILL)
            yield batch

    def having(**how: int) -> Source:
        seek = functools.partial(read, **how) if seekable else None
        split = Split(rows=9000, read=functools.partial(read, **how), read_from=seek)
        return dataclasses.replace(source, splits={**source.splits, "train": split})

    monkeypatch.setattr("orchestrator.data.portion._SYNC_BYTES", 100_000)
    monkeypatch.setattr("orchestrator.data.portion._SLICE_BYTES", 10_000)
    monkeypatch.setattr("orchestrator.data.portion._PORTION_BYTES", 150_000)
    child = get_context("fork").Process(
        target=prepare,
        args=("whole", having(die_at=8000)),
        kwargs={"streams": 3, "storage": storage},
    )
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    (half,) = whole.folder.parent.glob(".*")  # Hidden, so that nobody takes it for whole.
    written = {path: path.stat().st_mtime_ns for path in half.glob("test/*")}

    prepared = prepare("whole", having(), streams=3, storage=storage)
    assert written  # All files are laid out before the first row is written.
    assert not half.exists()
    if seekable:
        assert 0 not in begun  # What had reached the disk was not read again.
    fresh = Storage.at(str(storage.path / "fresh"))
    assert digests(prepared) == digests(prepare("whole", source, streams=3, storage=fresh))


def assert_nothing_left(storage: Storage) -> None:
    left = [path for path in storage.path.rglob("*") if path.is_file()]
    assert left == []


def test_a_full_disk_is_unavailable_and_leaves_nothing(make_source, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can make a small disk to fill")
    try:
        storage = Storage.at(str(disk))
        with pytest.raises(UnavailableError, match="No space left on device") as caught:
            prepare("made-up", make_source(train=20_000), streams=4, storage=storage)
        assert caught.value.exit_code == 3
        assert_nothing_left(storage)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_file_that_may_not_grow_is_unavailable_and_leaves_nothing(make_source, storage):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(UnavailableError, match="File too large"):
            prepare("made-up", make_source(train=20_000), streams=4, storage=storage)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert_nothing_left(storage)


BOUNDED = """
import resource, sys
import numpy as np
from orchestrator.data.prepare import prepare
from orchestrator.data.source import Column, Source, Split
from orchestrator.storage.storage import Storage

def read():
    for first in range(0, 600_000, 1000):
        yield {"x": np.full((1000, 1000), first % 251, np.uint8), "label": np.zeros(1000, np.int64)}

few = Split(rows=600_000, read=read)
source = Source(
    features=(Column(name="x", dtype="uint8", shape=(1000,)),),
    label=Column(name="label", dtype="int64"),
    classes=("a",), splits={"train": few, "test": few}, digest="x", origin="made up",
)
import pyarrow
soft = int(open("/proc/self/statm").read().split()[5]) * 4096 + 300 * 2**20
resource.setrlimit(resource.RLIMIT_DATA, (soft, soft))
prepare("big", source, streams=4, storage=Storage.at(sys.argv[1]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_memory_stays_bounded(tmp_path):
    # 1.2 GB of rows with 300 MiB to spare, of which allocators and stacks take the most.
    done = subprocess.run(
        [sys.executable, "-c", BOUNDED, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert done.returncode == 0, done.stderr[-2000:]
