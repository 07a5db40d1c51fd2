"""Own data in files and in memory: what is read is what was written, and what is wrong is named."""

from __future__ import annotations

import io
import math
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import csv, feather, parquet

from orchestrator.data.files.detect import file_source, is_file, memory_source
from orchestrator.data.source import Source, SourceContext
from orchestrator.errors import UnavailableError, UsageError

ROWS = 500


@pytest.fixture
def context(tmp_path) -> SourceContext:
    return SourceContext(data_dir=None, cache_dir=tmp_path / "cache")


@pytest.fixture
def read(context) -> Callable[..., Source]:
    def read(path: Any, label: str | None = "kind", shape: tuple[int, ...] | None = None) -> Source:
        return file_source(str(path), label=label, shape=shape, context=context)

    return read


def people() -> pa.Table:
    """Return a table whose column `number` tells which row it is."""
    numbers = np.arange(ROWS)
    return pa.table(
        {
            "number": numbers,
            "weight": np.where(numbers % 50 == 7, np.nan, numbers / 4),
            "city": [
                None if n % 30 == 3 else ("Ulm", "Köln", "Zürich")[n % 3] for n in range(ROWS)
            ],
            "kind": [("b", "a")[n % 5 == 0] for n in range(ROWS)],
        }
    )


def write_csv(table: pa.Table, path: Path) -> None:
    csv.write_csv(table, path)


WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {
    "people.csv": write_csv,
    "people.parquet": lambda table, path: parquet.write_table(table, path, row_group_size=97),
    "people.arrow": lambda table, path: feather.write_feather(table, path, compression="lz4"),
    "people.feather": lambda table, path: feather.write_feather(table, path, chunksize=64),
}


def rows_of(source: Source, split: str) -> dict[str, np.ndarray]:
    batches = list(source.splits[split].read())
    return {name: np.concatenate([b[name] for b in batches]) for name in batches[0]}


def check_people(source: Source) -> None:
    assert [c.name for c in source.features] == ["number", "weight", "city"]
    assert [c.dtype for c in source.features] == ["float32", "float32", "S7"]
    assert source.classes == ("a", "b")
    train, test = rows_of(source, "train"), rows_of(source, "test")
    assert (len(train["number"]), len(test["number"])) == (400, 100)
    assert [s.rows for s in (source.splits["train"], source.splits["test"])] == [400, 100]
    # Every row is in one of the splits, whole, in the order of the file.
    both = {name: np.concatenate([train[name], test[name]]) for name in train}
    order = np.argsort(both["number"])
    numbers = np.arange(ROWS)
    np.testing.assert_array_equal(both["number"][order], numbers)
    assert all(np.all(np.diff(split["number"]) > 0) for split in (train, test))
    weights = np.where(numbers % 50 == 7, np.nan, numbers / 4).astype(np.float32)
    np.testing.assert_array_equal(both["weight"][order], weights)
    cities = [b"" if n % 30 == 3 else ("Ulm", "Köln", "Zürich")[n % 3].encode() for n in numbers]
    assert both["city"][order].tolist() == cities
    np.testing.assert_array_equal(both["kind"][order], numbers % 5 != 0)
    # A fifth of each class is kept to test on.
    assert np.bincount(test["kind"]).tolist() == [20, 80]


@pytest.mark.parametrize("name", WRITERS)
def test_a_table_in_any_format_gives_the_same_rows(read, tmp_path, name):
    WRITERS[name](people(), tmp_path / name)
    check_people(read(tmp_path / name))


def test_a_data_frame_and_an_arrow_table_are_read_like_a_file(context):
    for table in (people(), people().to_pandas()):
        check_people(memory_source(table, label="kind", shape=None, context=context))


def test_the_digest_changes_with_any_value(read, context, tmp_path):
    path = tmp_path / "people.csv"
    write_csv(people(), path)
    digests = {read(path).digest, read(path).digest}
    assert len(digests) == 1
    path.write_text(path.read_text().replace("Ulm", "Bonn", 1))
    digests.add(read(path).digest)
    frame = people().to_pandas()
    digests.add(memory_source(frame, label="kind", shape=None, context=context).digest)
    frame.loc[3, "number"] += 1
    digests.add(memory_source(frame, label="kind", shape=None, context=context).digest)
    assert len(digests) == 4


def test_a_folder_of_train_and_test_keeps_that_split(read, tmp_path):
    write_csv(people().slice(0, 300), tmp_path / "train.csv")
    write_csv(people().slice(300), tmp_path / "test.csv")
    source = read(tmp_path)
    assert rows_of(source, "train")["number"].tolist() == list(range(300))
    assert rows_of(source, "test")["number"].tolist() == list(range(300, ROWS))


def test_columns_that_turn_out_to_be_text_late_are_text(read, tmp_path):
    lines = [f"{n},{n % 2}" for n in range(200_000)] + ["late,0"]
    (tmp_path / "late.csv").write_text("\n".join(["value,kind", *lines]))
    source = read(tmp_path / "late.csv")
    assert [c.dtype for c in source.features] == ["S6"]
    values = np.concatenate([rows_of(source, split)["value"] for split in ("train", "test")])
    assert {b"0", b"199999", b"late"} <= set(values.tolist())


def test_numbers_of_a_table_are_brought_to_the_shape_of_a_job(read, tmp_path):
    pixels = np.arange(60 * 6).reshape(60, 6) % 256
    table = pa.table({**{f"p{i}": pixels[:, i] for i in range(6)}, "label": np.arange(60) % 2})
    parquet.write_table(table, tmp_path / "pixels.parquet")
    source = read(tmp_path / "pixels.parquet", label=None, shape=(2, 3))
    (column,) = source.features
    assert (column.dtype, column.shape) == ("uint8", (2, 3))  # Whole numbers of 0 … 255 are bytes.
    both = [rows_of(source, split)["numbers"] for split in ("train", "test")]
    found = np.concatenate(both).reshape(60, 6)
    assert sorted(found.tolist()) == sorted(pixels.tolist())
    write_csv(table.set_column(0, "p0", pa.array(pixels[:, 0] + 0.5)), tmp_path / "floats.csv")
    assert read(tmp_path / "floats.csv", label="label", shape=(6,)).features[0].dtype == "float32"


def arrays() -> dict[str, np.ndarray]:
    return {
        "x": np.arange(90 * 12, dtype=np.uint8).reshape(90, 3, 4),
        "y": np.arange(90) % 3,
    }


def check_arrays(source: Source, rows: int = 90) -> None:
    (column,) = source.features
    assert (column.name, column.dtype, column.shape) == ("x", "uint8", (3, 4))
    assert source.classes == ("0", "1", "2")
    parts = [rows_of(source, split) for split in ("train", "test")]
    images = np.concatenate([part["x"] for part in parts])
    assert sorted(images.reshape(rows, 12).tolist()) == sorted(
        arrays()["x"].reshape(90, 12)[:rows].tolist()
    )


def test_archives_of_arrays_are_read_compressed_or_not(read, tmp_path):
    np.savez(tmp_path / "plain.npz", **arrays())
    np.savez_compressed(tmp_path / "packed.npz", **arrays())
    for name in ("plain", "packed"):
        check_arrays(read(tmp_path / f"{name}.npz", label=None))


def test_an_archive_may_bring_its_split_as_keras_archives_do(read, tmp_path):
    held = {f"{n}_{part}": a for n, a in arrays().items() for part in ("train", "test")}
    np.savez(
        tmp_path / "both.npz",
        **{**held, "x_test": held["x_test"][:9], "y_test": held["y_test"][:9]},
    )
    source = read(tmp_path / "both.npz", label=None)
    assert [source.splits[s].rows for s in ("train", "test")] == [90, 9]
    np.testing.assert_array_equal(rows_of(source, "train")["x"], arrays()["x"])


def test_npy_files_of_rows_and_labels(read, tmp_path):
    np.save(tmp_path / "x.npy", arrays()["x"])
    np.save(tmp_path / "y.npy", arrays()["y"].astype(">i8")[:, None])
    check_arrays(read(tmp_path / "x.npy", label=str(tmp_path / "y.npy")))


def test_arrays_in_memory(context):
    check_arrays(memory_source(arrays(), label="y", shape=None, context=context))
    check_arrays(memory_source(arrays(), label=None, shape=(28, 28), context=context))


def paint(path: Path, size: tuple[int, int] = (4, 3), mode: str = "L", shade: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, shade).save(path)


def test_a_folder_of_pictures(read, tmp_path):
    for n in range(10):
        paint(tmp_path / "cat" / f"{n}.png", shade=n)
        paint(tmp_path / "dog" / f"{n}.bmp", shade=100 + n)
    (tmp_path / "cat" / "notes.txt").write_text("no picture")
    source = read(tmp_path, label=None)
    (column,) = source.features
    assert (column.dtype, column.shape, source.classes) == ("uint8", (3, 4), ("cat", "dog"))
    train, test = rows_of(source, "train"), rows_of(source, "test")
    assert np.bincount(test["label"]).tolist() == [2, 2]
    shades = np.concatenate([train["image"], test["image"]])[:, 0, 0]
    assert sorted(shades.tolist()) == [*range(10), *range(100, 110)]
    np.testing.assert_array_equal(train["label"], train["image"][:, 0, 0] >= 100)
    later = list(source.splits["train"].batches(12))
    np.testing.assert_array_equal(later[0]["image"], train["image"][12:])


def test_pictures_in_colour_with_their_own_split(read, tmp_path):
    for part, rows in (("train", 3), ("test", 1)):
        for kind in ("cat", "dog"):
            for n in range(rows):
                paint(tmp_path / part / kind / f"{n}.png", mode="RGB")
    source = read(tmp_path, label=None)
    assert source.features[0].shape == (3, 4, 3)
    assert [source.splits[s].rows for s in ("train", "test")] == [6, 2]


def csv_of(*lines: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / "data.csv").write_text("\n".join(lines) + "\n" if lines else "")
        return folder / "data.csv"

    return write


def table_of(**columns: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        parquet.write_table(pa.table(columns), folder / "data.parquet")
        return folder / "data.parquet"

    return write


def npz_of(**members: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        np.savez(folder / "data.npz", **members)
        return folder / "data.npz"

    return write


def pictures(*painted: tuple[str, dict[str, Any]]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        for name, how in painted:
            paint(folder / "pictures" / name, **how)
        return folder / "pictures"

    return write


def stray(name: str, content: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return write


def zipped(member: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "data.npz", "w") as archive:
            archive.writestr(member, b"")
        return folder / "data.npz"

    return write


def broken_picture(folder: Path) -> Path:
    for n in range(2):
        paint(folder / "pictures" / "a" / f"{n}.png")
        paint(folder / "pictures" / "b" / f"{n}.png")
    (folder / "pictures" / "b" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing more")
    return folder / "pictures"


def pickled(folder: Path) -> Path:
    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(folder / "was-run"),)

    np.save(folder / "data.npy", np.array([Evil()], object), allow_pickle=True)
    np.save(folder / "y.npy", np.zeros(1, np.int64))
    return folder / "data.npy"


GOOD = ("kind,value", "a,1", "b,2", "a,3", "b,4")


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (csv_of(), "data.csv is empty"),
        (csv_of("kind,value"), "has no rows"),
        (csv_of(*GOOD, "a,5,6"), "line 6 has 3 values, not 2: 'a,5,6'"),
        (csv_of(*GOOD, "a"), "line 6 has 1 values, not 2"),
        (csv_of("value,other", "1,2"), "has no column 'kind'"),
        (csv_of("kind", "a", "b"), "no column besides 'kind'"),
        (csv_of("kind,value,value", "a,1,2"), "2 columns 'value'"),
        (csv_of("kind,../value", "a,1"), r"'../value' can't be the name of a column"),
        (csv_of("kind,a/b", "a,1"), "'a/b' can't be the name of a column"),
        (csv_of(*GOOD, "NaN,5"), "column 'kind', row 5: the label is missing"),
        (csv_of(*GOOD, ",5"), "row 5: the label is missing"),
        (csv_of("kind,value", "a,1", "a,2"), "one class only, 'a'"),
        (csv_of(*GOOD, "c,5"), "one row of class 'c'; two are needed"),
        (csv_of(*GOOD, "a,1e300"), "column 'value', row 5: 1e\\+300 is too large"),
        (csv_of(*GOOD, "a,inf"), "row 5: inf is too large"),
        (csv_of(*GOOD, f"a,{'long ' * 60}"), "row 5: 299 bytes of text"),
        (
            csv_of("kind,value", *(f"{n},1" for n in range(1500))),
            "more than 1000 different values",
        ),
        (npz_of(x=np.zeros((4, 0)), kind=np.zeros(4)), "holds no values"),
        (npz_of(x=np.array([b"\xff", b"a"]), kind=[0, 1]), "text that is not UTF-8"),
        (stray("data.csv", b"kind,value\na,\xff\xfe\n"), "data.csv can't be read"),
        (stray("data.parquet", b"no parquet"), "is no parquet file"),
        (stray("data.arrow", b"no arrow at all"), "is no arrow file"),
        (stray("data.npz", b"no archive"), "is no .npz file"),
        (stray("data.txt", b"a,b"), "is of no kind that can be read"),
        (table_of(kind=[0.5, 1.5], value=[1, 2]), "labels that are no classes"),
        (table_of(kind=[1.0, math.nan], value=[1, 2]), "row 2: the label is missing"),
        (table_of(kind=[1, 2], value=[[1], [1, 2]]), "column 'value' holds list"),
        (
            table_of(kind=[1, 2], value=pa.array([0, 1], pa.timestamp("s"))),
            "column 'value' holds timestamp",
        ),
        (npz_of(x=np.zeros((4, 2)), kind=np.zeros(3)), "differ in rows: x has 4, kind has 3"),
        (npz_of(x=np.asfortranarray(np.zeros((4, 2))), kind=np.zeros(4)), "column by column"),
        (npz_of(x=np.zeros((4, 2), complex), kind=np.zeros(4)), "neither numbers nor text"),
        (zipped("../x.npy"), r"'../x.npy', which is no array's name"),
        (zipped("deep/x.npy"), "'deep/x.npy', which is no array's name"),
        (pictures(("a/1.png", {})), "has 1 class"),
        (pictures(("a/1.png", {}), ("a/2.png", {}), ("b/1.png", {})), "'b' has 1 picture"),
        (
            pictures(
                *((f"{c}/{n}.png", {}) for c in "ab" for n in "12"), ("b/3.png", {"size": (5, 5)})
            ),
            "b/3.png is 5×5 pixels in grey, but .*a/1.png is 4×3 pixels in grey",
        ),
        (
            pictures(*((f"{c}/{n}.png", {"mode": "RGBA"}) for c in "ab" for n in "12")),
            "colours of the kind RGBA",
        ),
        (broken_picture, "b/1.png can't be read as a picture"),
    ],
)
def test_what_can_not_be_learnt_from_is_refused_with_its_place(read, tmp_path, write, words):
    path = write(tmp_path)
    with pytest.raises(UsageError, match=words):
        read(path)


def test_a_pickle_is_never_run(read, tmp_path):
    path = pickled(tmp_path)
    with pytest.raises(UsageError, match="holds Python objects"):
        read(path, label=str(tmp_path / "y.npy"))
    assert not (tmp_path / "was-run").exists()


def test_an_array_that_is_cut_short_is_named(read, tmp_path):
    np.save(tmp_path / "x.npy", arrays()["x"])
    np.save(tmp_path / "y.npy", arrays()["y"])
    data = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(data[:-30])
    with pytest.raises(UsageError, match=r"x\.npy is cut short: it ends after 87 of 90 rows"):
        read(tmp_path / "x.npy", label=str(tmp_path / "y.npy"))


@pytest.mark.parametrize("name", ["people.csv", "people.parquet"])
def test_a_file_that_changes_while_it_is_read_is_refused(read, tmp_path, name):
    path = tmp_path / name
    WRITERS[name](people(), path)
    source = read(path)
    batches = source.splits["train"].read()
    next(batches)
    os.utime(path, ns=(1, 1))
    with pytest.raises(UsageError, match=f"{name} has changed while it was read"):
        list(batches)


def test_a_file_that_has_changed_since_it_was_looked_through_is_refused(read, tmp_path):
    write_csv(people(), tmp_path / "people.csv")
    source = read(tmp_path / "people.csv")
    write_csv(people().slice(1), tmp_path / "people.csv")
    with pytest.raises(UsageError, match=r"people\.csv has changed"):
        next(source.splits["train"].read())


def test_a_second_time_nothing_is_looked_through(read, tmp_path, monkeypatch):
    write_csv(people(), tmp_path / "people.csv")
    first = read(tmp_path / "people.csv")
    looked: list[int] = []
    monkeypatch.setattr(
        "orchestrator.data.files.columns.ColumnScan.add", lambda *args, **more: looked.append(1)
    )
    again = read(tmp_path / "people.csv")
    assert (again.digest, again.features, again.classes) == (
        first.digest,
        first.features,
        first.classes,
    )
    assert not looked
    check_people(again)
    os.utime(tmp_path / "people.csv", ns=(1, 1))
    read(tmp_path / "people.csv")
    assert looked


def test_a_picture_that_changes_since_it_was_looked_through_is_refused(read, tmp_path):
    for kind in ("cat", "dog"):
        for n in range(2):
            paint(tmp_path / kind / f"{n}.png")
    source = read(tmp_path, label=None)
    for picture in tmp_path.glob("*/*.png"):
        paint(picture, shade=200)
        os.utime(picture, ns=(1, 1))
    with pytest.raises(UsageError, match=r"\d\.png has changed while it was read"):
        rows_of(source, "train")


def test_a_flipped_bit_in_an_archive_is_named(read, tmp_path):
    np.savez(tmp_path / "data.npz", x=np.zeros((4, 50_000), np.uint8), kind=np.arange(4) % 2)
    data = bytearray((tmp_path / "data.npz").read_bytes())
    data[100_000] ^= 1
    (tmp_path / "data.npz").write_bytes(data)
    with pytest.raises(UsageError, match=r"data\.npz, array 'x' is damaged: Bad CRC-32"):
        read(tmp_path / "data.npz")


def test_a_file_that_can_not_be_read_to_its_end_is_unavailable(read, tmp_path, monkeypatch):
    write_csv(people(), tmp_path / "people.csv")

    def fail(*args: object, **more: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("orchestrator.data.files.columns.ColumnScan.add", lambda *a, **m: None)
    monkeypatch.setattr("pyarrow.csv.open_csv", fail)
    with pytest.raises(UnavailableError, match=r"people\.csv can't be read: .*Input/output"):
        read(tmp_path / "people.csv")


def test_a_key_in_an_address_is_not_written_down(read):
    with pytest.raises(UsageError, match="holds a key") as caught:
        read("s3://AKIA:secret@bucket/people.csv")
    assert "secret" not in str(caught.value)


def test_a_class_that_only_test_rows_have_is_learnt_of_none(read, tmp_path):
    (tmp_path / "train.csv").write_text("kind,value\na,1\nb,2\n")
    (tmp_path / "test.csv").write_text("kind,value\na,1\nc,2\n")
    assert read(tmp_path).classes == ("a", "b", "c")


@pytest.mark.parametrize(
    ("text", "file"),
    [("mnist", False), ("data.csv", True), ("./data", True), ("s3://bucket/x", True)],
)
def test_a_name_is_told_from_a_path(tmp_path, monkeypatch, text, file):
    monkeypatch.chdir(tmp_path)
    assert is_file(text) is file
    (tmp_path / "mnist").mkdir()
    assert is_file("mnist")


@pytest.mark.parametrize("data", [[1, 2], 5, io.BytesIO()])
def test_rows_in_memory_of_another_kind_are_refused(context, data):
    with pytest.raises(UsageError, match="A dataset can't be a"):
        memory_source(data, label="y", shape=None, context=context)


def test_a_job_for_arrays_says_what_a_table_lacks(read, tmp_path):
    write_csv(people(), tmp_path / "people.csv")
    with pytest.raises(UsageError, match="column 'city' holds text; this job takes 64 × 8 numbers"):
        read(tmp_path / "people.csv", shape=(64, 8))
    write_csv(people().drop_columns(["city"]), tmp_path / "numbers.csv")
    with pytest.raises(UsageError, match="has 2 numbers a row; this job takes 64 × 8 = 512"):
        read(tmp_path / "numbers.csv", shape=(64, 8))


def test_pandas_categories_and_booleans_are_read(context):
    frame = pd.DataFrame(
        {
            "colour": pd.Categorical(["red", "blue", None, "red"]),
            "open": [True, False, True, False],
            "kind": pd.Categorical(["x", "y", "x", "y"]),
        }
    )
    source = memory_source(frame, label="kind", shape=None, context=context)
    assert [(c.name, c.dtype) for c in source.features] == [("colour", "S4"), ("open", "float32")]
