"""Downloading one file, going on where an earlier download was cut off.

Pooch calls `resuming`'s result as its downloader; it has none that resumes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import requests

#: Seconds to wait for a connection: short, so that a machine without network learns it soon.
CONNECT_S = 3

#: Seconds to wait for each further piece of data.
_READ_S = 30

#: Times to go on after the server broke off, as long as each brings the file forward.
_CONTINUATIONS = 5

#: Bytes to write at a time. A piece that the server breaks off in is lost, so it is small.
_PIECE_BYTES = 16 * 1024

#: Called with (bytes done, bytes in all or None).
Progress = Callable[[int, int | None], None]


def resuming(folder: Path, progress: Progress) -> Callable[[str, IO[bytes] | str, Any], None]:
    """Return a downloader for Pooch that keeps what it has in `folder` until the file is whole."""

    def download(url: str, output: IO[bytes] | str, _pooch: Any) -> None:
        partial = partial_file(folder, url)
        _download(url, partial, progress)
        os.replace(partial, str(output))

    return download


def partial_file(folder: Path, url: str) -> Path:
    """Return where the beginning of a file is kept.

    Each address has its own, since mirrors compress the same file to different bytes.
    """
    digest = hashlib.sha256(url.encode()).hexdigest()[:12]
    return folder / f"{url.rsplit('/', 1)[-1]}.{digest}.partial"


def _download(url: str, partial: Path, progress: Progress) -> None:
    """Fetch an address into a file, in several requests if the server breaks off.

    Raises:
        requests.RequestException: The server can't be reached, refuses, or breaks off for good.
    """
    import requests

    for attempt in range(_CONTINUATIONS + 1):
        before = _size(partial)
        try:
            return _continue(url, partial, progress)
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            if attempt == _CONTINUATIONS or _size(partial) <= before:
                raise
    return None


def _continue(url: str, partial: Path, progress: Progress) -> None:
    """Make one request for what is missing of a file."""
    import requests

    have = _size(partial)
    # Offsets count compressed bytes only if the server doesn't compress on the way.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=(CONNECT_S, _READ_S)) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            partial.unlink()  # It is as long as the file or longer, yet not known to be whole.
            return _continue(url, partial, progress)
        response.raise_for_status()
        start = have if response.status_code == requests.codes.partial_content else 0
        return _receive(response, partial, start, progress)


def _receive(response: requests.Response, partial: Path, start: int, progress: Progress) -> None:
    """Write a response's body behind the first `start` bytes of a file."""
    import requests

    length = response.headers.get("Content-Length")
    total = start + int(length) if length else None
    done = start
    with partial.open("ab" if start else "wb") as out:
        for piece in response.iter_content(_PIECE_BYTES):
            out.write(piece)
            done += len(piece)
            progress(done, total)
    if total is not None and done < total:
        raise requests.ConnectionError(f"broke off after {done} of {total} bytes")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
