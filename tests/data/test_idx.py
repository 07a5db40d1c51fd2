from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest

from orchestrator.data.idx import decompress, parse
from orchestrator.errors import UsageError

IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def idx_bytes(array: np.ndarray, *, kind: int = 8) -> bytes:
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes((0, 0, kind, array.ndim)) + sizes + array.tobytes()


def test_reads_images_and_labels():
    labels = np.array([3, 1, 4], np.uint8)
    np.testing.assert_array_equal(parse(idx_bytes(IMAGES), dimensions=3, where="f"), IMAGES)
    np.testing.assert_array_equal(parse(idx_bytes(labels), dimensions=1, where="f"), labels)


def test_no_rows_are_no_error():
    assert parse(idx_bytes(IMAGES[:0]), dimensions=3, where="f").shape == (0, 3, 4)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not an IDX file"),
        (b"\x89PNG\r\n", "not an IDX file"),
        (idx_bytes(IMAGES, kind=0x0D), "not an IDX file of unsigned bytes"),
        (idx_bytes(IMAGES[0, 0]), "holds labels, where images are expected"),
        (idx_bytes(IMAGES)[:9], "header is incomplete"),
        (idx_bytes(IMAGES)[:-1], "cut short: 39 bytes instead of 40"),
        (idx_bytes(IMAGES) + b"x", "goes on after its end: 41 bytes instead of 40"),
    ],
)
def test_says_what_is_wrong_with_which_file(data, words):
    with pytest.raises(UsageError, match=words) as caught:
        parse(data, dimensions=3, where="some/images.gz")
    assert "some/images.gz" in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_header_that_promises_more_than_memory_holds_is_only_cut_short():
    header = bytes((0, 0, 8, 3)) + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1)
    with pytest.raises(UsageError, match="cut short"):
        parse(header, dimensions=3, where="f")


def test_decompresses_what_is_compressed_and_leaves_the_rest():
    data = idx_bytes(IMAGES)
    assert decompress(gzip.compress(data), where="f") == data
    assert decompress(data, where="f") == data


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-5],
        lambda data: data[:20] + bytes(byte ^ 255 for byte in data[20:30]) + data[30:],
        lambda data: data[:-8] + b"\0" * 8,
        lambda data: data + b"rubbish",
    ],
    ids=["cut", "flipped", "checksum", "trailing"],
)
def test_damaged_compression_is_told(spoil):
    data = gzip.compress(np.random.default_rng(0).bytes(1000))
    with pytest.raises(UsageError, match=r"f\.gz is damaged or cut short"):
        decompress(spoil(data), where="f.gz")
