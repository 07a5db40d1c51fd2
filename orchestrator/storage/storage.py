"""One folder that holds everything, and every path inside it.

Nothing else joins path names: a run's files, the prepared datasets and the results tables are
properties here.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import UsageError
from orchestrator.storage.atomic import storage_errors
from orchestrator.storage.caches import working_folder
from orchestrator.storage.mirror import RunMirrors
from orchestrator.storage.object_stores import store_of
from orchestrator.storage.objects import Objects
from orchestrator.storage.run_folder import RunFolder

#: Where runs are stored if neither --storage nor LAUNCH_JOB_STORAGE says so.
DEFAULT_STORAGE = "runs-store"

_SAFE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,100}")


def check_name(name: str, *, what: str) -> str:
    """Return `name` if it is safe as part of a path.

    Raises:
        UsageError: It has characters besides a–z, 0–9, dot, dash and underscore.
    """
    if not _SAFE_NAME.fullmatch(name) or ".." in name:
        raise UsageError(
            f"{name!r} can't be the name of a {what}.",
            hint="Use lower-case letters, digits, dots, dashes and underscores.",
        )
    return name


@dataclass(frozen=True, kw_only=True)
class Storage:
    """The folder that outlives every run and every cluster."""

    #: Absolute path; of a storage of objects, the folder in which this machine works.
    path: Path
    #: Where it is, if it is one of objects: runs and datasets are published there.
    objects: Objects | None = None

    @classmethod
    def at(cls, uri: str) -> Storage:
        """Return the storage at a path, or at an `s3://`, `gs://` or `file://` address.

        Raises:
            UsageError: It is an address of another kind, holds more than a place, or is empty.
        """
        if not uri.strip():
            raise UsageError("The storage has an empty name.", hint="Name a folder.")
        scheme, separator, rest = uri.partition("://")
        if store_of(uri) is not None:
            objects = Objects.at(uri)
            return cls(path=working_folder(objects), objects=objects)
        if separator and scheme != "file":
            raise UsageError(
                f"Storage {uri!r} is not supported.",
                hint="Name a folder that every node of the cluster can write, or an address such "
                "as s3://bucket/path or gs://bucket/path.",
            )
        return cls(path=Path(rest if separator else uri).expanduser().absolute())

    @classmethod
    def chosen(cls, uri: str | None) -> Storage:
        """Return the storage that is named; LAUNCH_JOB_STORAGE or `./runs-store` if none is.

        Raises:
            UsageError: As `at` does.
        """
        return cls.at(uri or os.environ.get("LAUNCH_JOB_STORAGE") or DEFAULT_STORAGE)

    def __str__(self) -> str:
        return str(self.path) if self.objects is None else self.objects.address

    @property
    def runs(self) -> Path:
        """Folder of runs."""
        return self.path / "runs"

    @property
    def results(self) -> Path:
        """Folder of the results tables."""
        return self.path / "results"

    @property
    def datasets(self) -> Path:
        """Folder of prepared datasets."""
        return self.path / "datasets"

    def lock(self, digest: str) -> Path:
        """Return a lock file of packages that runs had installed, by its SHA-256."""
        return self.path / "locks" / f"{digest}.lock"

    def dataset(self, name: str, fingerprint: str) -> Path:
        """Return the folder of a prepared dataset."""
        return self.datasets / check_name(name, what="dataset") / fingerprint[:16]

    def published(self, folder: Path) -> Objects | None:
        """Return where a folder of it is published, if this is a storage of objects."""
        if self.objects is None:
            return None
        return self.objects.within(*folder.relative_to(self.path).parts)

    def run(self, run_id: str) -> RunFolder:
        """Return the folder of a run, which may not exist yet."""
        path = self.runs / check_name(run_id, what="run")
        return RunFolder(path=path, objects=self.published(path))

    def run_ids(self) -> list[str]:
        """Return the identifiers of all runs, oldest first."""
        return [*self.newest_run_ids()][::-1]

    def newest_run_ids(self, part: str = "") -> Iterator[str]:
        """Yield the identifiers of runs, newest first; only folders of those are looked into.

        Among tens of thousands, a look into each takes seconds on a network's file system.

        Args:
            part: The beginning or the end of the identifiers.
        """
        mirrors = self._mirrors
        names = {p.name for p in self.runs.glob("*")} if mirrors is None else mirrors.names()
        # A hidden one is being removed.
        shown = (name for name in names if not name.startswith("."))
        wanted = sorted((n for n in shown if n.startswith(part) or n.endswith(part)), reverse=True)
        found = wanted if mirrors is None else mirrors.glanced_at(wanted)
        return (name for name in found if (self.runs / name / "spec.json").is_file())

    @property
    def _mirrors(self) -> RunMirrors | None:
        objects = self.published(self.runs)
        return None if objects is None else RunMirrors(folder=self.runs, objects=objects)

    def find_run(self, text: str) -> RunFolder:
        """Return the one existing run that `text` names, with what people look at.

        Args:
            text: A run's identifier, the beginning or the end of one, or `latest`.

        Raises:
            UsageError: No run matches, or several do.
            UnavailableError: The storage can't be reached.
        """
        found = self._named_run(text)
        found.pull()
        return found

    def _named_run(self, text: str) -> RunFolder:
        if self.objects is None and _SAFE_NAME.fullmatch(text) and self.run(text).spec.is_file():
            return self.run(text)
        if text == "latest" and (last := next(self.newest_run_ids(), None)) is not None:
            return self.run(last)
        found = [*self.newest_run_ids(text)][::-1]
        if len(found) == 1:
            return self.run(found[0])
        if not found:
            raise UsageError(
                f"There is no run {text!r} in {self}.", hint="`launch-job ls` lists them."
            )
        raise UsageError(
            f"{text!r} names {len(found)} runs: {', '.join(found[:5])}"
            f"{', …' if len(found) > 5 else ''}.",
            hint="Give more of the name.",
        )

    def comparison(self, run_ids: Sequence[str]) -> Path:
        """Return the page of a comparison of runs."""
        digest = hashlib.sha256(" ".join(run_ids).encode()).hexdigest()
        return self.path / "comparisons" / f"{digest[:16]}.html"

    def check_writable(self) -> None:
        """Make the folder and prove that it can be written.

        Raises:
            UnavailableError: It can't.
        """
        with storage_errors(self.path):
            self.runs.mkdir(parents=True, exist_ok=True)
            handle, probe = tempfile.mkstemp(dir=self.runs, prefix=".probe.")
            os.close(handle)
            os.unlink(probe)
        if self.objects is not None:
            self.objects.check_writable()
