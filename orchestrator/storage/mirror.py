"""A run's folder on this machine, and the objects that mirror it.

The folder in which a run was last driven is its home. From there files are pushed, in an order in
which whoever looks sees no state whose files are missing; everywhere else they are pulled. So a
folder that isn't the home may be removed at any time.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from orchestrator.errors import UnavailableError
from orchestrator.storage.atomic import read_json, storage_errors, write_atomic, write_json
from orchestrator.storage.objects import Objects, ObjectState

#: File that tells what was the same in the folder and among the objects.
_INDEX = ".mirror.json"

#: File with the name of this folder, if the run was ever driven here; and the object that holds
#: that of the home. Whoever drives the run elsewhere changes it.
_HOME = ".home"

#: Folder of Ray Train's own state, and the file that the driver locks: they concern one machine.
_OWN = ("ray/", "driver.lock", "stop.json")

#: The log of events; its states say that other files are there.
_EVENTS = "events.jsonl"

#: The order of pushing: what makes a run a run, all others, what says that others are whole.
_ORDER = {"spec.json": 0, "manifest.json": 2, "report.json": 3, _EVENTS: 4}

#: What a list of runs shows is in these.
_LISTED = {"spec.json", "report.json", _EVENTS}

#: Files that are on their way at a time, and runs that are looked at.
_AT_ONCE, _GLANCES = 8, 16

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class _Same:
    """A file and an object that have the same content."""

    #: Size of the file, and time of its last change.
    local: tuple[int, int]
    #: Size of the object, and time of its writing.
    there: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """A run's folder and its objects."""

    #: The folder.
    folder: Path
    #: The objects.
    objects: Objects

    def push(self) -> None:
        """Bring to the objects what has changed in the folder, and remove what is gone there.

        One process at a time may push: the run's driver.

        Raises:
            UnavailableError: The storage can't be written.
        """
        # Events are taken first and pushed last: the files they tell of are there by then.
        events = self._read_events()
        found = dict(self._files())
        index = self._read_index()
        changed = [n for n in found if n not in index or index[n].local != found[n]]
        gone = [name for name in index if name not in found]
        if not changed and not gone:
            return
        pushed: set[str] = set()
        for place in sorted({_place(name) for name in changed} - {_ORDER[_EVENTS]}):
            names = [name for name in changed if _place(name) == place]
            pushed.update(name for name in _at_once(self._upload, names) if name is not None)
        if _EVENTS in changed:
            self.objects.write(_EVENTS, events)
            found[_EVENTS] = (len(events), found[_EVENTS][1])
            pushed.add(_EVENTS)
        self._drop(gone, found)
        there = self.objects.states()
        kept = {name: same for name, same in index.items() if name not in gone}
        new = {
            name: _Same(local=found[name], there=_key(there[name]))
            for name in pushed
            if name in there
        }
        self._write_index(kept | new)

    def _drop(self, gone: Iterable[str], found: Iterable[str]) -> None:
        """Remove objects whose files are gone, and folders with no file left."""
        kept = {str(folder) for name in found for folder in PurePosixPath(name).parents}
        folders = {str(PurePosixPath(name).parent) for name in gone} - kept
        # What has lost its manifest is no longer whole.
        _at_once(self.objects.remove, [name for name in gone if _place(name) == 2])
        _at_once(self.objects.remove_folder, sorted(folders - {"."}))
        rest = [n for n in gone if str(PurePosixPath(n).parent) not in folders and _place(n) != 2]
        _at_once(self.objects.remove, rest)

    def pull(self, wanted: Callable[[str], bool], *, deep: bool = True) -> None:
        """Make the folder what the objects are, unless it is the home: then it is ahead of them.

        Args:
            wanted: Which files are to be here, by their names; others stay as they are.
            deep: Whether files in further folders are looked at.

        Raises:
            UnavailableError: The storage can't be read, or the folder can't be written.
        """
        with self.settled():
            if not self.is_home():
                self.fetch(wanted, deep=deep)

    def fetch(self, wanted: Callable[[str], bool], *, deep: bool = True) -> None:
        """Pull whatever folder is the home; call it while it is settled which is."""
        there = {
            name: state
            for name, state in self.objects.states(deep=deep).items()
            if _is_common(name) and wanted(name)
        }
        index = self._read_index()
        new = [n for n, state in there.items() if not self._is_here(n, state, index.get(n))]
        gone = [name for name in self._names_gone(index, there) if wanted(name) and deep]
        if not new and not gone:
            return
        # Events come first: what they tell of is there by the time that it is asked for.
        for place in sorted({_place(name) for name in new}, key=lambda p: (p != 4, p)):
            for name in _at_once(self._download, [n for n in new if _place(n) == place]):
                if name is not None:
                    local = _state(self.folder / name)
                    index[name] = _Same(local=local, there=_key(there[name]))
        for name in gone:
            self._remove(name)
            index.pop(name, None)
        self._write_index(index)

    def is_home(self) -> bool:
        """Whether the run was last driven in this folder.

        Raises:
            UnavailableError: The storage can't be read.
        """
        home = self.home()
        return home is not None and self.driver.read(_HOME) == home.encode()

    @property
    def driver(self) -> Objects:
        """What is said of the run's driver."""
        return self.objects.within(".driver")

    def home(self) -> str | None:
        """Return what this folder is called as a home; None if the run was never driven here."""
        try:
            return (self.folder / _HOME).read_text()
        except FileNotFoundError:
            return None

    def named_home(self) -> str:
        """Return what this folder is called as a home, giving it a name if it has none.

        Raises:
            UnavailableError: The folder can't be written.
        """
        if self.home() is None:
            write_atomic(self.folder / _HOME, secrets.token_hex(16))
        return self.home() or ""

    def is_pushed(self) -> bool:
        """Whether the objects are what the folder is, if it was the home until now."""
        index, found = self._read_index(), dict(self._files())
        return {name: same.local for name, same in index.items()} == found

    def settle(self) -> None:
        """Make this folder the home.

        Raises:
            UnavailableError: The storage can't be written.
        """
        self.driver.write(_HOME, self.named_home().encode())

    @contextlib.contextmanager
    def settled(self) -> Iterator[None]:
        """Keep others on this machine from pulling, and from making the folder the home."""
        path = self.folder / ".pull.lock"
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _files(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Yield the name and the state of each file that is mirrored."""
        # Unlike `rglob`, `walk` bears that folders are dropped meanwhile.
        for folder, _, files in os.walk(self.folder):
            for path in (Path(folder, file) for file in files):
                name = path.relative_to(self.folder).as_posix()
                if _is_common(name):
                    with contextlib.suppress(FileNotFoundError):
                        yield name, _state(path)

    def _read_events(self) -> bytes:
        try:
            return (self.folder / _EVENTS).read_bytes()
        except FileNotFoundError:
            return b""

    def _upload(self, name: str) -> str | None:
        """Push a file; return its name, or None if it is gone."""
        try:
            self.objects.upload(self.folder / name, name)
        except FileNotFoundError:
            return None
        return name

    def _download(self, name: str) -> str | None:
        """Pull a file; return its name, or None if it is gone."""
        try:
            self.objects.download(name, self.folder / name)
        except FileNotFoundError:
            return None
        return name

    def _is_here(self, name: str, state: ObjectState, same: _Same | None) -> bool:
        try:
            local = _state(self.folder / name)
        except FileNotFoundError:
            return False
        return same is not None and same.there == _key(state) and same.local == local

    def _names_gone(self, index: dict[str, _Same], there: Iterable[str]) -> list[str]:
        """Return files that are no longer among the objects, and checkpoints that never were."""
        here = {path.relative_to(self.folder).as_posix() for path in self.folder.glob("*/*/*")}
        left = {name for name in here if name.startswith("checkpoints/") and _is_common(name)}
        return sorted((set(index) | left) - set(there))

    def _remove(self, name: str) -> None:
        path = self.folder / name
        with storage_errors(path):
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # There are others in the folder, or it is gone.
                path.parent.rmdir()

    def _read_index(self) -> dict[str, _Same]:
        try:
            values = read_json(self.folder / _INDEX)
            return {
                name: _Same(local=tuple(same["local"]), there=tuple(same["there"]))
                for name, same in values.items()
            }
        except (UnavailableError, AttributeError, KeyError, TypeError):
            return {}  # Nothing is known to be the same, so everything is brought anew.

    def _write_index(self, index: dict[str, _Same]) -> None:
        values = {name: {"local": s.local, "there": s.there} for name, s in index.items()}
        write_json(self.folder / _INDEX, values)


@dataclass(frozen=True, kw_only=True)
class RunMirrors:
    """The folders of all runs of a storage of objects."""

    #: The folder that they lie in on this machine.
    folder: Path
    #: What they are published as.
    objects: Objects

    def names(self) -> set[str]:
        """Return the names of all runs.

        Raises:
            UnavailableError: The storage can't be read.
        """
        here = self.folder.iterdir() if self.folder.is_dir() else ()
        # A folder that no run was driven in is but a copy of what may be gone.
        homes = [path.name for path in here if (path / _HOME).is_file()]
        return {n for n in (*homes, *self.objects.folders()) if not n.startswith(".")}

    def glanced_at(self, names: list[str]) -> Iterator[str]:
        """Yield names of runs, with what a list shows of them brought here.

        Raises:
            UnavailableError: The storage can't be read.
        """
        with ThreadPoolExecutor(_GLANCES) as pool:
            for first in range(0, len(names), _GLANCES):
                yield from pool.map(self._glance, names[first : first + _GLANCES])

    def _glance(self, name: str) -> str:
        mirror = Mirror(folder=self.folder / name, objects=self.objects.within(name))
        mirror.pull(_LISTED.__contains__, deep=False)
        return name


def _is_common(name: str) -> bool:
    """Whether a file is mirrored: not what is hidden, and not what concerns one machine."""
    return not name.startswith((*_OWN, ".")) and "/." not in name


def _place(name: str) -> int:
    """Return a file's place in the order of pushing."""
    return _ORDER.get(name.rpartition("/")[2], 1)


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _key(state: ObjectState) -> tuple[int, int]:
    return state.size_bytes, state.written_ns


def _at_once(function: Callable[[str], Item], names: list[str]) -> list[Item]:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(function, names))
