"""The datasets that ship with launch-job, loaded as a run loads them."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import importlib.util
import re
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from orchestrator.catalog import Dataset
from orchestrator.catalog.discovery import builtin_content, load_entry
from orchestrator.data.fetch import RemoteFile
from orchestrator.data.idx_dataset import IdxPair, idx_source
from orchestrator.data.manifest import ROW_COLUMN
from orchestrator.data.prepare import prepare
from orchestrator.data.shards import open_stream
from orchestrator.data.source import Batch, Column, Source, SourceContext
from orchestrator.errors import UsageError
from orchestrator.storage.storage import Storage


def load(name: str, context: SourceContext) -> Source:
    path = builtin_content() / "datasets" / f"{name.replace('-', '_')}.py"
    return load_entry(path, Dataset).load(context)


def module(name: str) -> ModuleType:
    path = builtin_content() / "datasets" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"{name}_under_test", path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def rows(source: Source, split: str) -> Batch:
    batches = list(source.splits[split].read())
    return {n: np.concatenate([batch[n] for batch in batches]) for n in batches[0]}


@pytest.fixture
def offline(tmp_path) -> SourceContext:
    return SourceContext(data_dir=None, cache_dir=tmp_path / "cache")


@pytest.fixture
def users(mnist_dir, tmp_path) -> SourceContext:
    return SourceContext(data_dir=mnist_dir, cache_dir=tmp_path / "cache")


def test_mnist_is_the_published_one(users):
    source = load("mnist", users)
    train, test = rows(source, "train"), rows(source, "test")
    assert train["image"].shape == (60_000, 28, 28)
    assert test["image"].shape == (10_000, 28, 28)
    assert train["label"][:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3]
    assert test["label"][:8].tolist() == [7, 2, 1, 0, 4, 1, 4, 9]
    assert np.bincount(train["label"]).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    assert round(train["image"].mean() / 255, 4) == 0.1307


def test_mnist_is_the_same_after_preparing(users, tmp_path):
    source = load("mnist", users)
    prepared = prepare("mnist", source, streams=8, storage=Storage.at(str(tmp_path)))
    test = rows(source, "test")
    for stream in range(8):
        held = open_stream(prepared.folder, prepared.manifest, "test", stream)
        np.testing.assert_array_equal(held["image"], test["image"][held[ROW_COLUMN]])
        np.testing.assert_array_equal(held["label"], test["label"][held[ROW_COLUMN]])
    # Each stream is a fair sample: the share of each digit is near that of the whole.
    shares = [
        np.bincount(open_stream(prepared.folder, prepared.manifest, "train", s)["label"]) / 7500
        for s in range(8)
    ]
    assert np.ptp(shares, axis=0).max() < 0.025


def test_mnist_with_labels_in_place_of_images_is_refused(mnist_dir, tmp_path):
    folder = tmp_path / "mislabelled"
    shutil.copytree(mnist_dir, folder)
    shutil.copy(folder / "t10k-labels-idx1-ubyte.gz", folder / "t10k-images-idx3-ubyte.gz")
    with pytest.raises(UsageError, match=r"t10k-images-idx3-ubyte\.gz is not the file"):
        load("mnist", SourceContext(data_dir=folder, cache_dir=tmp_path / "cache"))


def test_mnist_names_a_stand_in(users):
    entry = load_entry(builtin_content() / "datasets" / "mnist.py", Dataset)
    assert entry.offline == "digits"
    assert entry.summary
    assert load_entry(builtin_content() / "datasets" / "digits.py", Dataset).offline is None


def test_digits_look_like_mnist(offline):
    source = load("digits", offline)
    train, test = rows(source, "train"), rows(source, "test")
    assert (source.splits["train"].rows, source.splits["test"].rows) == (1437, 360)
    assert train["image"].shape == (1437, 28, 28)
    assert train["image"].dtype == np.uint8
    assert (train["image"].min(), train["image"].max()) == (0, 255)
    assert 30 < train["image"].mean() < 45  # MNIST: 33
    assert np.ptp(np.bincount(test["label"])) <= 2
    assert not offline.cache_dir.exists()


def test_digits_have_their_mass_in_the_middle(offline):
    images = rows(load("digits", offline), "train")["image"].astype(float)
    for axis in (1, 2):
        places = (images.sum(3 - axis) @ np.arange(28)) / images.sum((1, 2))
        assert np.abs(places - 13.5).max() <= 0.5 + 1e-9


def test_digits_are_split_without_overlap_and_the_same_each_time(offline):
    first, again = load("digits", offline), load("digits", offline)
    assert first.digest == again.digest
    images = np.concatenate([rows(first, name)["image"] for name in ("train", "test")])
    assert len({image.tobytes() for image in images}) > 1790  # A few are alike in the original.
    np.testing.assert_array_equal(rows(first, "test")["image"], rows(again, "test")["image"])


def test_digits_are_enlarged_evenly():
    digits = module("digits")
    full = digits.enlarged(np.full((1, 8, 8), 16))
    assert full.shape == (1, 20, 20)
    assert set(full.ravel().tolist()) == {255}
    slope = digits.enlarged(np.tile(np.arange(8) * 2, (1, 8, 1)))[0]
    assert (slope == slope[0]).all()
    assert (np.diff(slope[0].astype(int)) >= 0).all()
    assert slope[0, 0] == 0
    assert slope[0, -1] == round(14 * 255 / 16)


def idx_bytes(array: np.ndarray) -> bytes:
    sizes = np.array(array.shape, ">u4").tobytes()
    return bytes((0, 0, 8, array.ndim)) + sizes + array.astype(np.uint8).tobytes()


def idx_file(folder: Path, name: str, array: np.ndarray) -> RemoteFile:
    data = idx_bytes(array)
    (folder / name).write_bytes(gzip.compress(data))
    return RemoteFile(name=name, sha256=hashlib.sha256(data).hexdigest(), mirrors=())


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (np.zeros((3, 28, 28)), np.zeros(2), "images.gz has 3 images, but labels.gz has 2 labels"),
        (np.zeros((3, 27, 28)), np.zeros(3), r"images of \(27, 28\) pixels; expected \(28, 28\)"),
        (np.zeros(3), np.zeros(3), "images.gz holds labels, where images are expected"),
    ],
)
def test_idx_files_that_do_not_fit_together_are_refused(tmp_path, images, labels, words):
    pair = IdxPair(
        images=idx_file(tmp_path, "images.gz", images),
        labels=idx_file(tmp_path, "labels.gz", labels),
        rows=3,
    )
    source = idx_source(
        SourceContext(data_dir=tmp_path, cache_dir=tmp_path / "cache"),
        name="made-up",
        classes=("a",),
        splits={"train": pair, "test": pair},
    )
    with pytest.raises(UsageError, match=words):
        list(source.splits["train"].read())


def test_fashion_mnist_is_declared_as_it_is_published():
    fashion = module("fashion_mnist")
    assert {name: pair.rows for name, pair in fashion.FILES.items()} == {
        "train": 60_000,
        "test": 10_000,
    }
    files = [file for pair in fashion.FILES.values() for file in (pair.images, pair.labels)]
    assert [file.name for file in files] == [
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    ]
    assert {file.sha256_of for file in files} == {"served"}
    assert len({file.sha256 for file in files}) == 4
    assert all(re.fullmatch("[0-9a-f]{64}", file.sha256) for file in files)
    assert all(len(file.mirrors) == 2 for file in files)
    assert len(set(fashion.CLASSES)) == 10
    assert (fashion.CLASSES[0], fashion.CLASSES[9]) == ("T-shirt/top", "Ankle boot")


@pytest.fixture
def made_up_fashion(tmp_path, monkeypatch) -> ModuleType:
    """Fashion-MNIST with the right number of rows and made-up pixels, in files of the test."""
    fashion = module("fashion_mnist")
    for name, pair in fashion.FILES.items():
        numbers = np.arange(pair.rows)
        pixels = np.broadcast_to(numbers[:, None, None] % 251, (pair.rows, 28, 28))
        digests = {}
        for file, array in ((pair.images, pixels), (pair.labels, numbers % 10)):
            data = gzip.compress(idx_bytes(array), compresslevel=1)
            (tmp_path / file.name).write_bytes(data)
            digests[file.name] = hashlib.sha256(data).hexdigest()
        known = dataclasses.replace(
            pair,
            images=dataclasses.replace(pair.images, sha256=digests[pair.images.name]),
            labels=dataclasses.replace(pair.labels, sha256=digests[pair.labels.name]),
        )
        monkeypatch.setitem(fashion.FILES, name, known)
    return fashion


def test_fashion_mnist_has_mnists_form(made_up_fashion, tmp_path):
    context = SourceContext(data_dir=tmp_path, cache_dir=tmp_path / "cache")
    source = made_up_fashion.fashion_mnist(context)
    assert source.features == (Column(name="image", dtype="uint8", shape=(28, 28)),)
    assert source.classes == made_up_fashion.CLASSES
    for split, count in (("train", 60_000), ("test", 10_000)):
        read = rows(source, split)
        assert source.splits[split].rows == count
        np.testing.assert_array_equal(read["label"], np.arange(count) % 10)
        np.testing.assert_array_equal(read["image"][:, 27, 27], np.arange(count) % 251)
    assert not context.cache_dir.exists()


def test_fashion_mnist_takes_no_other_files(made_up_fashion, tmp_path):
    """Not MNIST's, which have the same names; and none stands in for it."""
    context = SourceContext(data_dir=tmp_path, cache_dir=tmp_path / "cache")
    with pytest.raises(UsageError, match=r"train-images-idx3-ubyte\.gz is not the file it should"):
        load("fashion-mnist", context)
    entry = load_entry(builtin_content() / "datasets" / "fashion_mnist.py", Dataset)
    assert (entry.name, entry.offline) == ("fashion-mnist", None)
    assert entry.summary.startswith("Zalando's pictures of clothes")


def test_sequences_are_as_hard_as_they_say(offline):
    source = load("sequences", offline)
    train = rows(source, "train")
    assert train["sequence"].shape == (10_000, 64, 8)
    assert train["sequence"].dtype == np.float32
    first, second = (train["sequence"][:, :, feature].argmax(axis=1) for feature in (0, 1))
    assert (first != second).all()
    wrong = (train["label"] == 1) != (second < first)
    assert 0.04 < wrong.mean() < 0.06
    assert 0.48 < train["label"].mean() < 0.52
    # Nothing but the two pulses tells.
    assert abs(train["sequence"][:, :, 2:]).max() <= 0.5


def test_sequences_are_the_same_everywhere(offline):
    source = load("sequences", offline)
    train, test = rows(source, "train"), rows(source, "test")
    digest = hashlib.sha256(test["sequence"].tobytes() + test["label"].tobytes()).hexdigest()
    assert digest == "c55df504014142969878250ce70d9623f1b5406204da058e6450de39ed64c367"
    assert not np.array_equal(train["sequence"][:2000], test["sequence"])
