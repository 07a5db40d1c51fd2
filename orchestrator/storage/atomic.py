"""Files and folders that are either whole or not there, whoever looks and whatever dies.

What is written for others to read is written beside its final name and renamed, so a reader sees a
whole file or none.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.errors import UnavailableError


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a file so that it is either whole, and on disk, or not there.

    Raises:
        UnavailableError: The folder can't be written, or the disk is full.
    """
    data = content.encode() if isinstance(content, str) else content
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
            sync_folder(path.parent)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise


def write_json(path: Path, value: object) -> None:
    """Write a value as indented JSON, atomically."""
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def finite(value: object) -> object:
    """Return JSON values in which a number that JSON has no word for, such as NaN, is null."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UnavailableError: It can't be read, or is not JSON.
    """
    with storage_errors(path):
        text = path.read_text()
    try:
        return json.loads(text)
    except ValueError as err:
        raise UnavailableError(f"{path} is damaged: {err}.") from err


def leave_request(path: Path, *, by: str) -> None:
    """Leave a request where it is looked for, such as a run's `stop_request`.

    Args:
        path: Where.
        by: Who or what asks.

    Raises:
        UnavailableError: The storage can't be written.
    """
    write_json(path, {"by": by, "time": datetime.now(UTC).isoformat()})


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn an operating system's error about storage into one that names the path.

    Raises:
        UnavailableError: Whatever failed, in words.
    """
    try:
        yield
    except OSError as err:
        where = err.filename or path
        raise UnavailableError(
            f"Can't use {where}: {os.strerror(err.errno) if err.errno else err}.",
            hint="Free some space or name another folder with --storage.",
        ) from err


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside `path`, and rename it to `path` when the block is done.

    If `path` has appeared meanwhile, that one stays: whoever comes second throws its own away.
    If the block fails, nothing is left behind.

    Yields:
        The temporary folder.

    Raises:
        UnavailableError: The storage can't be written or is full.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        try:
            yield temporary
            sync_folder(temporary)
            os.chmod(temporary, 0o755)
            with contextlib.suppress(FileExistsError, OSError):
                if not path.exists():
                    os.rename(temporary, path)
                    sync_folder(path.parent)
            if not path.exists():
                raise UnavailableError(f"Can't make {path}.")
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def unfinished_folder(path: Path) -> Iterator[Path | None]:
    """Give a hidden folder beside `path`, and rename it to `path` when the block is done.

    One process at a time has it; the others wait. If a process is killed, what it has written stays
    for the next one to go on with. If the block fails, nothing is left behind.

    Yields:
        The folder; None if `path` is there already.

    Raises:
        UnavailableError: The storage can't be written or is full.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = path.parent / f".{path.name}.unfinished"
        with _held(folder, unless=path) as lock:
            if lock is None:
                yield None
                return
            try:
                yield folder
                sync_folder(folder)
                lock.unlink()
                os.rename(folder, path)
                sync_folder(path.parent)
            except Exception:
                shutil.rmtree(folder, ignore_errors=True)
                raise


@contextlib.contextmanager
def _held(folder: Path, *, unless: Path) -> Iterator[Path | None]:
    """Make a folder and hold the lock in it, which goes with the process.

    Yields:
        The lock's file; None if `unless` is there.
    """
    lock = folder / ".lock"
    while not unless.exists():
        folder.mkdir(exist_ok=True)
        try:
            handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:  # Another process has just finished, or failed.
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if _is_open_at(handle, lock):
                yield lock
                return
        finally:
            os.close(handle)
    yield None


def is_being_made(folder: Path) -> bool:
    """Whether a process holds a folder that `unfinished_folder` gave."""
    try:
        handle = os.open(folder / ".lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _is_open_at(handle: int, path: Path) -> bool:
    """Whether an open file is the one that has this path now."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def sync_folder(path: Path) -> None:
    """Bring a folder's list of names to disk, so that a rename in it outlives a power cut."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
