"""Jobs and datasets that installed packages bring.

A package names them as entry points, in its `pyproject.toml`:

    [project.entry-points."launch_job.jobs"]
    shapes = "shapes_package.jobs"

Each names a module that declares jobs, itself or in modules below it, or one function
(`module:function`). The group of datasets is `launch_job.datasets`.
"""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar

from orchestrator.catalog.definition import Dataset, Declaration, Job
from orchestrator.errors import LaunchJobError, UsageError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Entry = TypeVar("Entry", Job, Dataset)


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """What one entry point names."""

    #: The entry point.
    point: EntryPoint

    @property
    def name(self) -> str:
        """Name that stands for it where it can't be loaded."""
        return self.point.name.replace("_", "-")

    @property
    def package(self) -> str:
        """Name and version of the package that brings it."""
        dist = self.point.dist
        assert dist is not None
        return f"{dist.name} {dist.version}"

    def load(self, kind: type[Entry]) -> list[Entry]:
        """Return what it declares.

        Raises:
            UsageError: It does not import, or declares nothing of that kind.
        """
        try:
            named = self.point.load()
        except LaunchJobError as err:
            raise UsageError(f"{err.message} It is of package {self.package}.") from err
        except (Exception, SystemExit) as err:  # What it runs into is its author's to mend.
            place = _place(err, self.point.value.partition(":")[0])
            where = self.point.value if place is None else place[0]
            line = "" if place is None else f"line {place[1]}: "
            raise UsageError(
                f"{where} of package {self.package} does not import: "
                f"{line}{type(err).__name__}: {err}"
            ) from err
        if isinstance(named, ModuleType):
            found = declared_in(named, kind)
        else:
            entry = getattr(named, "__launch_job__", None)
            found = [entry] if isinstance(entry, kind) else []
        if not found:
            what = f"{self.point.value} of package {self.package}"
            raise UsageError(f"{what} declares no {kind.__name__.lower()}.")
        return found


def installed_plugins(group: str) -> Iterator[Plugin]:
    """Find the entry points of a group; nothing is imported."""
    # It costs a third of what the help may take, and workers don't need it.
    from importlib.metadata import entry_points

    for point in sorted(entry_points(group=group), key=lambda point: (point.name, point.value)):
        yield Plugin(point=point)


def declared_in(module: ModuleType, kind: type[Entry]) -> list[Entry]:
    """Return what a module declares, itself or in modules below it, and not what it imports."""
    declared = (getattr(value, "__launch_job__", None) for value in vars(module).values())
    return [
        entry
        for entry in declared
        if isinstance(entry, kind)
        and f"{entry.declaration.module}.".startswith(f"{module.__name__}.")
    ]


def load_plugin_again(declaration: Declaration, kind: type[Entry]) -> Entry:
    """Load what a plug-in declares, in another process.

    Raises:
        UsageError: Its module does not import here, or another version of it does.
    """
    try:
        module = importlib.import_module(declaration.module)
    except (Exception, SystemExit) as err:
        raise UsageError(
            f"{declaration.path} does not import: {type(err).__name__}: {err}",
            hint="The package that brings it has to be installed on every host.",
        ) from err
    for entry in declared_in(module, kind):
        if entry.declaration == declaration:
            return entry
    raise UsageError(
        f"{declaration.path} is not where {kind.__name__.lower()} {declaration.name} is found: "
        f"module {declaration.module} is {module.__file__}."
    )


def _place(err: BaseException, module: str) -> tuple[str, int] | None:
    """Return file and line that an error comes from, in the package of a module."""
    package = module.partition(".")[0]
    frames = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(err.__traceback__)
        if frame.f_globals.get("__name__", "").partition(".")[0] == package
    ]
    if not frames and isinstance(err, SyntaxError) and err.filename:
        return err.filename, err.lineno or 1
    return frames[-1] if frames else None
