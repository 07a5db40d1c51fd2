"""Files of public datasets: from the user's folder, or from the cache, or from a mirror.

A file is known by the SHA-256 of its uncompressed bytes, since mirrors compress differently; or,
where nobody has published that one, by the SHA-256 of its bytes as mirrors serve them. Pooch keeps
the cache.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from orchestrator.data.download import CONNECT_S, resuming
from orchestrator.data.idx import decompress, is_compressed
from orchestrator.data.source import SourceContext
from orchestrator.errors import DataUnavailableError, UsageError
from orchestrator.storage.atomic import storage_errors


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file that mirrors serve."""

    #: Name of the file, as mirrors have it.
    name: str
    #: SHA-256 of the bytes that `sha256_of` names.
    sha256: str
    #: Addresses of folders that have it.
    mirrors: tuple[str, ...]
    #: `uncompressed`: mirrors may compress it as they like, and a copy may be uncompressed.
    #: `served`: all mirrors serve the same bytes, and nothing but these can be verified.
    sha256_of: Literal["uncompressed", "served"] = "uncompressed"


def fetch(file: RemoteFile, context: SourceContext, *, folder: str) -> Callable[[], bytes]:
    """Bring a file to this machine if it isn't here, and return a function that reads it.

    If the user named a folder, the file comes from there and from nowhere else. What is in the
    cache was verified when it came, and is verified again when it is read; if it has been damaged
    meanwhile, it is fetched anew.

    Args:
        file: The file.
        context: Where the user's files and the cache are.
        folder: Name of the dataset's folder in the cache.

    Returns:
        A function that returns the file's uncompressed bytes, verified.

    Raises:
        UsageError: The user's folder lacks the file, or has another one under its name, or has it
            in a form that can't be verified.
        DataUnavailableError: No mirror serves it; the message names what was tried.
        UnavailableError: The cache can't be written.
    """
    if context.data_dir is not None:
        path = _named_by_user(file, context.data_dir)
        read_verified(path, file)
        return partial(read_verified, path, file)
    cache = context.cache_dir / folder
    if not (cache / file.name).is_file():
        _download(file, cache, context)
    return partial(_read_cached, file, cache, context)


def read_verified(path: Path, file: RemoteFile) -> bytes:
    """Return the uncompressed bytes of a local copy of a file.

    Raises:
        UsageError: It is damaged, or another file, or can't be verified since it has been
            uncompressed.
    """
    with storage_errors(path):
        data = path.read_bytes()
    if file.sha256_of == "served":
        _verify(data, file, path)
        return decompress(data, where=str(path))
    data = decompress(data, where=str(path))
    _verify(data, file, path)
    return data


def _verify(data: bytes, file: RemoteFile, path: Path) -> None:
    digest = hashlib.sha256(data).hexdigest()
    if digest == file.sha256:
        return
    served = file.sha256_of == "served"
    if served and file.name.endswith(".gz") and not is_compressed(data):
        raise UsageError(
            f"{path} is uncompressed, so it can't be verified: the SHA-256 that is known, "
            f"{file.sha256}, is that of the compressed {file.name}.",
            hint=f"Put {file.name} there as it was downloaded; compressing it anew gives other "
            "bytes.",
        )
    raise UsageError(
        f"{path} is not the file it should be, or damaged: the SHA-256 of its {len(data)} "
        f"{'' if served else 'uncompressed '}bytes is {digest}; expected {file.sha256}.",
        hint="Fetch the file again, or name another folder with --data-dir.",
    )


def _named_by_user(file: RemoteFile, folder: Path) -> Path:
    for name in (file.name, file.name.removesuffix(".gz")):
        if (folder / name).is_file():
            return folder / name
    raise UsageError(
        f"{folder} has no {file.name}.",
        hint="Name the folder of the dataset's files with --data-dir, or leave it out.",
    )


def _read_cached(file: RemoteFile, cache: Path, context: SourceContext) -> bytes:
    path = cache / file.name
    if path.is_file():
        with contextlib.suppress(UsageError):
            return read_verified(path, file)
    path.unlink(missing_ok=True)
    _download(file, cache, context)
    return read_verified(path, file)


def _download(file: RemoteFile, cache: Path, context: SourceContext) -> None:
    """Put a verified file into the cache."""
    import requests

    tried = [f"{cache / file.name} (not there)"]
    with storage_errors(cache), _alone(cache):
        if (cache / file.name).is_file():  # Another process fetched it meanwhile.
            return
        for mirror in file.mirrors:
            url = f"{mirror.rstrip('/')}/{file.name}"
            try:
                _from_mirror(url, file, cache, context)
                return
            except UsageError:
                tried.append(f"{url} (serves another or a damaged file)")
            except requests.RequestException as err:
                tried.append(f"{url} ({_in_short(err)})")
    raise DataUnavailableError(
        f"Can't get {file.name}. Tried: {'; '.join(tried)}.",
        hint="Fetch it elsewhere and name its folder with --data-dir.",
    )


def _from_mirror(url: str, file: RemoteFile, cache: Path, context: SourceContext) -> None:
    import pooch

    pooch.get_logger().setLevel("ERROR")
    progress = partial(context.progress, f"Downloading {file.name}")
    # Pooch's own check is of the bytes as served; ours, below, of those that the digest is of.
    arrived = pooch.retrieve(
        url,
        known_hash=None,
        fname=f".{file.name}.unverified",
        path=cache,
        downloader=resuming(cache, progress),
    )
    try:
        read_verified(Path(arrived), file)
    except UsageError:
        Path(arrived).unlink()
        raise
    Path(arrived).rename(cache / file.name)


@contextlib.contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """Let one process at a time download into a folder: two would spoil each other's partial file.

    The lock goes with the process that holds it, however that ends.
    """
    import fcntl

    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _in_short(err: Exception) -> str:
    """Say in a few words why a mirror failed; the libraries say it in a paragraph."""
    import requests

    if isinstance(err, requests.HTTPError) and err.response is not None:
        return f"HTTP {err.response.status_code}"
    if isinstance(err, requests.exceptions.ConnectTimeout):
        return f"no answer within {CONNECT_S} s"
    if isinstance(err, requests.exceptions.SSLError):
        return "no secure connection"
    if isinstance(err, requests.exceptions.ChunkedEncodingError) or "broke off" in str(err):
        return "broke off"
    if isinstance(err, requests.ConnectionError):
        return "not reachable"
    return type(err).__name__
