"""Files of public datasets: from the user's folder, from the cache, or from a mirror.

A file is known by the SHA-256 of its uncompressed bytes, since mirrors compress differently.
Downloads go through Pooch, which keeps the cache; its downloader here continues a partial file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from orchestrator.data.idx import decompress
from orchestrator.data.source import SourceContext
from orchestrator.errors import DataUnavailableError, LaunchJobError, UsageError
from orchestrator.storage import storage_errors

#: Seconds to wait for a mirror to answer, and for each further piece of data.
_TIMEOUT_S = (5, 30)

_PIECE_BYTES = 256 * 1024


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file that mirrors serve."""

    #: Name of the file, as mirrors have it.
    name: str
    #: SHA-256 of its uncompressed bytes.
    sha256: str
    #: Addresses of folders that have it.
    mirrors: tuple[str, ...]


def fetch(file: RemoteFile, context: SourceContext, *, folder: str) -> bytes:
    """Return the uncompressed bytes of a file, verified.

    Args:
        file: The file.
        context: Where the user's files and the cache are.
        folder: Name of the dataset's folder in the cache.

    Raises:
        UsageError: The user's folder lacks the file, or has another one under its name.
        DataUnavailableError: No mirror serves it; the message names what was tried.
    """
    if context.data_dir is not None:
        return _from_user(file, context.data_dir)
    cache = context.cache_dir / folder
    cached = cache / file.name
    if cached.is_file():
        try:
            return _verified(cached, file)
        except UsageError:  # Damaged since it was fetched: fetch it again.
            cached.unlink()
    return _from_mirrors(file, cache, context)


def _from_user(file: RemoteFile, folder: Path) -> bytes:
    """Read a file from the folder the user named: from nowhere else, since they named it."""
    for name in (file.name, file.name.removesuffix(".gz")):
        if (folder / name).is_file():
            return _verified(folder / name, file)
    raise UsageError(
        f"{folder} has no {file.name}.",
        hint="Name the folder of the dataset's files with --data-dir, or leave it out.",
    )


def _verified(path: Path, file: RemoteFile) -> bytes:
    with storage_errors(path):
        data = decompress(path.read_bytes(), where=str(path))
    digest = hashlib.sha256(data).hexdigest()
    if digest != file.sha256:
        raise UsageError(
            f"{path} is not the file it should be: the SHA-256 of its content is {digest}, "
            f"not {file.sha256}.",
            hint="Fetch the file again, or name another folder with --data-dir.",
        )
    return data


def _from_mirrors(file: RemoteFile, cache: Path, context: SourceContext) -> bytes:
    import pooch
    import requests

    tried = [f"{cache} (not there)"]
    pooch.get_logger().setLevel("ERROR")
    for mirror in file.mirrors:
        url = f"{mirror.rstrip('/')}/{file.name}"
        try:
            path = pooch.retrieve(
                url,
                known_hash=None,  # Verified below, uncompressed.
                fname=file.name,
                path=cache,
                downloader=_resuming(file, cache, context),
            )
            return _verified(Path(path), file)
        except (requests.RequestException, OSError, LaunchJobError) as err:
            (cache / file.name).unlink(missing_ok=True)
            tried.append(f"{url} ({_short(err)})")
    raise DataUnavailableError(
        f"Can't get {file.name}. Tried: {'; '.join(tried)}.",
        hint="Fetch it elsewhere and name its folder with --data-dir.",
    )


def _resuming(
    file: RemoteFile, cache: Path, context: SourceContext
) -> Callable[[str, IO[bytes] | str, Any], None]:
    """Return a downloader for Pooch that goes on where an earlier download was cut off."""

    def download(url: str, output: IO[bytes] | str, _: Any) -> None:
        partial = cache / f"{file.name}.partial"
        _download(url, partial, lambda done, total: context.progress(file.name, done, total))
        data = partial.read_bytes()
        if isinstance(output, str):
            Path(output).write_bytes(data)
        else:
            output.write(data)
        partial.unlink()

    return download


def _download(url: str, partial: Path, progress: Callable[[int, int | None], None]) -> None:
    """Fetch an address into a file, continuing it if the server can.

    Raises:
        requests.RequestException: The server can't be reached, refuses, or breaks off.
    """
    import requests

    have = partial.stat().st_size if partial.exists() else 0
    headers = {"Range": f"bytes={have}-", "Accept-Encoding": "identity"} if have else {}
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            partial.unlink()  # Longer than the file: it was another one.
            return _download(url, partial, progress)
        response.raise_for_status()
        if response.status_code != requests.codes.partial_content:
            have = 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        with partial.open("ab" if have else "wb") as out:
            for piece in response.iter_content(_PIECE_BYTES):
                out.write(piece)
                have += len(piece)
                progress(have, total)
        if total is not None and have < total:
            raise requests.ConnectionError(f"broke off after {have} of {total} bytes")


def _short(err: BaseException) -> str:
    """Say in a few words why a mirror failed; the libraries say it in a paragraph."""
    import requests

    kinds: Sequence[tuple[type[BaseException], str]] = (
        (requests.exceptions.SSLError, "no secure connection"),
        (requests.exceptions.Timeout, "no answer in time"),
    )
    for kind, words in kinds:
        if isinstance(err, kind):
            return words
    if isinstance(err, requests.HTTPError) and err.response is not None:
        return f"HTTP {err.response.status_code}"
    if isinstance(err, requests.ConnectionError):
        return "not reachable" if "broke off" not in str(err) else str(err)
    return str(err)
