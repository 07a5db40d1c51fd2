"""How the content folders are found and loaded.

A project is any folder with `cluster.yaml`; its `jobs/` and `datasets/` come before the built-in
ones of the same name. Each file is loaded by its path under a private module name, as Airflow
loads its dags: the folders are content, not packages, so they can't collide with installed
packages of the same names.
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

from orchestrator.catalog.definition import Dataset, Job
from orchestrator.errors import LaunchJobError, UsageError

Entry = TypeVar("Entry", Job, Dataset)


@dataclass(frozen=True, kw_only=True)
class Shelf(Generic[Entry]):
    """All entries of one kind, by name, and the files that could not be loaded."""

    #: `job` or `dataset`.
    kind: str
    #: What was found.
    entries: dict[str, Entry] = field(default_factory=dict)
    #: Name that the file would have, and why it could not be loaded.
    broken: dict[str, UsageError] = field(default_factory=dict)

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

    #: Folders with `jobs/` and `datasets/`; a later one's entry goes before an earlier one's.
    folders: tuple[Path, ...]

    @cached_property
    def jobs(self) -> Shelf[Job]:
        """Jobs by name."""
        return _load_shelf("job", Job, [folder / "jobs" for folder in self.folders])

    @cached_property
    def datasets(self) -> Shelf[Dataset]:
        """Datasets by name."""
        return _load_shelf("dataset", Dataset, [folder / "datasets" for folder in self.folders])


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
    """Load the project around `start` (default: the working folder) and the built-in content."""
    project = find_project(start or Path.cwd())
    builtin = builtin_content()
    return Catalog(folders=(builtin,) if project is None else (builtin, project))


def load_entry(path: Path, kind: type[Entry]) -> Entry:
    """Load the one entry that a file declares (workers do this from the path they are given).

    Raises:
        UsageError: The file does not import, or declares no such entry.
    """
    found = _entries(_load_module(path), kind)
    if len(found) != 1:
        raise UsageError(f"{path} declares {len(found)} {kind.__name__.lower()}s, not one.")
    return found[0]


def _load_shelf(kind: str, type_: type[Entry], folders: Iterable[Path]) -> Shelf[Entry]:
    shelf: Shelf[Entry] = Shelf(kind=kind)
    for folder in folders:
        for path in sorted(folder.glob("*.py")):
            _load_file(shelf, type_, path)
    return shelf


def _load_file(shelf: Shelf[Entry], type_: type[Entry], path: Path) -> None:
    try:
        module = _load_module(path)
    except UsageError as err:
        name = path.stem.replace("_", "-")
        shelf.broken[name] = err
        shelf.entries.pop(name, None)
        return
    for entry in _entries(module, type_):
        shelf.entries[entry.name] = entry
        shelf.broken.pop(entry.name, None)


def _entries(module: ModuleType, kind: type[Entry]) -> list[Entry]:
    declared = (getattr(value, "__launch_job__", None) for value in vars(module).values())
    return [
        entry for entry in declared if isinstance(entry, kind) and entry.module == module.__name__
    ]


def _load_module(path: Path) -> ModuleType:
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    name = f"_launch_job_content_{path.stem}_{digest}"
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
