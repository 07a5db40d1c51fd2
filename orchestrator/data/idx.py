"""IDX files, the format that MNIST is published in, gzip-compressed or not.

The format is described on the page of the MNIST database (LeCun, Cortes, Burges): two zero bytes,
a byte for the element type, a byte for the number of dimensions, their sizes as big-endian 32-bit
integers, then the elements.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_GZIP = b"\x1f\x8b"
_UNSIGNED_BYTE = 0x08
_WHAT = {1: "labels", 3: "images"}


def is_compressed(data: bytes) -> bool:
    """Say whether a file's bytes are gzip's."""
    return data.startswith(_GZIP)


def decompress(data: bytes, *, where: str) -> bytes:
    """Return the bytes of a file, uncompressed if it is compressed.

    Args:
        data: The file's bytes.
        where: Its path, for messages.

    Raises:
        UsageError: The compressed data is damaged or cut short.
    """
    if not is_compressed(data):
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, OSError, zlib.error) as err:
        raise UsageError(
            f"{where} is damaged or cut short: {err}.", hint="Fetch the file again."
        ) from err


def parse(data: bytes, *, dimensions: int, where: str) -> NDArray[np.uint8]:
    """Read the array of an IDX file of unsigned bytes.

    Args:
        data: The file's bytes, uncompressed.
        dimensions: Dimensions that are expected: 1 for labels, 3 for images.
        where: Its path, for messages.

    Returns:
        The array, read-only, with as many dimensions as expected.

    Raises:
        UsageError: It is another kind of file, or is cut short, or goes on after its end.
    """
    import numpy as np

    wanted = _WHAT.get(dimensions, f"{dimensions} dimensions")
    header = 4 + 4 * dimensions
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] != _UNSIGNED_BYTE:
        raise UsageError(f"{where} is not an IDX file of unsigned bytes.")
    if data[3] != dimensions:
        found = _WHAT.get(data[3], f"{data[3]} dimensions")
        raise UsageError(f"{where} holds {found}, where {wanted} are expected.")
    if len(data) < header:
        raise UsageError(f"{where} is cut short: its header is incomplete.")
    shape = struct.unpack(f">{dimensions}I", data[4:header])
    expected = header + int(np.prod(shape, dtype=np.int64))
    if len(data) != expected:
        what = "is cut short" if len(data) < expected else "goes on after its end"
        raise UsageError(f"{where} {what}: {len(data)} bytes instead of {expected}.")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)
