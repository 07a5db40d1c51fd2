"""How the content folders are found and loaded.

A project is any folder with `cluster.yaml`. What its `jobs/` and `datasets/` declare goes before
what installed packages bring (`plugins`), and that before what is built in. Each file is loaded by
its path under a private module name, as Airflow loads its dags: the folders are content, not
packages, so they can't collide with installed packages of the same names.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Generic, TypeVar

from orchestrator.catalog.definition import Dataset, Declaration, Job
from orchestrator.catalog.plugins import (
    Plugin,
    declared_in,
    installed_plugins,
    load_plugin_again,
)
from orchestrator.errors import LaunchJobError, UsageError

Entry = TypeVar("Entry", Job, Dataset)

#: How the names of the modules begin that content files are loaded as.
MODULE_PREFIX = "_launch_job_content_"


@dataclass(frozen=True, kw_only=True)
class Shelf(Generic[Entry]):
    """All entries of one kind, by name, and what could not be loaded."""

    #: `job` or `dataset`.
    kind: str
    #: What was found.
    entries: dict[str, Entry] = field(default_factory=dict)
    #: Name that the file or the entry point would have, and why it could not be loaded.
    broken: dict[str, UsageError] = field(default_factory=dict)

    def put(self, entries: Iterable[Entry]) -> None:
        """Add entries; they take the place of others of their names."""
        for entry in entries:
            self.entries[entry.name] = entry
            self.broken.pop(entry.name, None)

    def put_broken(self, name: str, error: UsageError) -> None:
        """Add what could not be loaded; it takes the place of others of its name."""
        self.broken[name] = error
        self.entries.pop(name, None)

    def get(self, name: str) -> Entry:
        """Return the entry of that name.

        Raises:
            UsageError: There is none, with the nearest name, or its file does not load.
        """
        if name in self.entries:
            return self.entries[name]
        if name in self.broken:
            raise self.broken[name]
        near = difflib.get_close_matches(name, self.entries, n=1)
        raise UsageError(
            f"There is no {self.kind} {name!r}.",
            hint=f"Did you mean {near[0]!r}?"
            if near
            else f"There are: {', '.join(sorted(self.entries))}.",
        )


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """Everything that can be trained, and everything it can be trained on.

    A shelf is loaded when it is first looked at: the help lists jobs, and has no use for datasets.
    """

    #: Folder of the project; None: outside of one.
    project: Path | None

    @cached_property
    def jobs(self) -> Shelf[Job]:
        """Jobs by name."""
        return _load_shelf(Job, self.project)

    @cached_property
    def datasets(self) -> Shelf[Dataset]:
        """Datasets by name."""
        return _load_shelf(Dataset, self.project)


def find_project(start: Path) -> Path | None:
    """Return the nearest folder at or above `start` that has a `cluster.yaml`."""
    for folder in (start, *start.parents):
        if (folder / "cluster.yaml").is_file():
            return folder
    return None


def builtin_content() -> Path:
    """Return the folder whose `jobs/` and `datasets/` ship with launch-job."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "builtin"
    return installed if installed.is_dir() else package.parent


def load_catalog(start: Path | None = None) -> Catalog:
    """Return the catalogue of the project around `start` (default: the working folder)."""
    return Catalog(project=find_project(start or Path.cwd()))


def load_entry(path: Path, kind: type[Entry]) -> Entry:
    """Load the one entry that a file of a content folder declares.

    Raises:
        UsageError: The file does not import, or declares no such entry.
    """
    found = declared_in(_load_module(path), kind)
    if len(found) != 1:
        raise UsageError(f"{path} declares {len(found)} {kind.__name__.lower()}s, not one.")
    return found[0]


def load_declared(declaration: Declaration, kind: type[Entry]) -> Entry:
    """Load an entry again (workers do this with what they are told).

    Raises:
        UsageError: Its file does not import, or doesn't declare it any more.
    """
    if declaration.module.startswith(MODULE_PREFIX):
        return load_entry(declaration.path, kind)
    return load_plugin_again(declaration, kind)


def _load_shelf(type_: type[Entry], project: Path | None) -> Shelf[Entry]:
    kind = type_.__name__.lower()
    shelf: Shelf[Entry] = Shelf(kind=kind)
    _load_folder(shelf, type_, builtin_content() / f"{kind}s")
    _load_plugins(shelf, type_)
    if project is not None:
        _load_folder(shelf, type_, project / f"{kind}s")
    return shelf


def _load_folder(shelf: Shelf[Entry], type_: type[Entry], folder: Path) -> None:
    for path in sorted(folder.glob("*.py")):
        try:
            shelf.put(declared_in(_load_module(path), type_))
        except UsageError as err:
            shelf.put_broken(path.stem.replace("_", "-"), err)


def _load_plugins(shelf: Shelf[Entry], type_: type[Entry]) -> None:
    brought: dict[str, tuple[Plugin, Entry]] = {}
    for plugin in installed_plugins(f"launch_job.{shelf.kind}s"):
        try:
            entries = plugin.load(type_)
        except UsageError as err:
            shelf.put_broken(plugin.name, err)
            continue
        shelf.put(entries)
        for entry in entries:
            other, same = brought.setdefault(entry.name, (plugin, entry))
            if same != entry:
                shelf.put_broken(entry.name, _claimed_twice(shelf.kind, entry, other, plugin))


def _claimed_twice(kind: str, entry: Job | Dataset, one: Plugin, other: Plugin) -> UsageError:
    return UsageError(
        f"There are two {kind}s {entry.name!r}, of packages {one.package} and {other.package}.",
        hint=f"Uninstall one of them, or declare a {kind} of that name in the project.",
    )


def _load_module(path: Path) -> ModuleType:
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    name = f"{MODULE_PREFIX}{path.stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except LaunchJobError:
        del sys.modules[name]
        raise
    except (Exception, SystemExit) as err:  # A script that ends itself is no job either.
        del sys.modules[name]
        raise UsageError(
            f"{path} does not import: {_where(err, path)}{type(err).__name__}: {err}"
        ) from err
    return module


def _where(err: BaseException, path: Path) -> str:
    """Name the line of `path` that an error comes from, or nothing if it has none."""
    if isinstance(err, SyntaxError) and err.filename == str(path):
        return f"line {err.lineno}: "
    lines = [f.lineno for f in traceback.extract_tb(err.__traceback__) if f.filename == str(path)]
    return f"line {lines[-1]}: " if lines else ""
