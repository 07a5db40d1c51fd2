"""The project's folder, packed for a cluster: what git would commit, and no more.

Packing is exact: the same files give the same archive, so a folder that has not changed is not
uploaded again.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from orchestrator.storage.atomic import storage_errors

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

#: The most that is sent. Ray keeps a package in the head's memory, and every node unpacks it.
LIMIT_BYTES = 100_000_000

#: Never sent, whatever .gitignore says.
_NEVER = {".git", ".hg", "__pycache__"}

#: How many of the largest files are named where there is too much.
_NAMED = 3

#: All files of an archive have this date: what they hold is all that tells archives apart.
_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, kw_only=True)
class Package:
    """A folder's files that are to be sent."""

    #: The folder.
    folder: Path
    #: Paths in it, and their sizes in bytes, in a fixed order.
    files: tuple[tuple[str, int], ...]

    @property
    def size_bytes(self) -> int:
        """How large they are together."""
        return sum(size for _, size in self.files)

    def write(self, archive: Path) -> None:
        """Write the files into a ZIP archive.

        Raises:
            UnavailableError: A file can't be read.
        """
        with storage_errors(archive), zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
            for name, _ in self.files:
                path = self.folder / name
                entry = zipfile.ZipInfo(name, date_time=_DATE)
                entry.external_attr = (path.stat().st_mode & 0xFFFF) << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                out.writestr(entry, path.read_bytes())


def list_package(folder: Path, *, limit_bytes: int = LIMIT_BYTES) -> Package:
    """List what of a folder is to be sent.

    Args:
        folder: The folder; what its .gitignore files leave out, and those of the repository that it
            is a part of, is left out.
        limit_bytes: How much may be sent.

    Raises:
        UsageError: It is more; the largest files are named.
    """
    files = tuple(sorted(_files(folder, _outer_rules(folder))))
    package = Package(folder=folder, files=files)
    if package.size_bytes > limit_bytes:
        largest = sorted(files, key=lambda file: -file[1])[:_NAMED]
        named = ", ".join(f"{name} ({size_text(size)})" for name, size in largest)
        raise UsageError(
            f"The project {folder} has {size_text(package.size_bytes)} to send to the cluster; "
            f"{size_text(limit_bytes)} are the most. The largest: {named}.",
            hint="Put what a run doesn't need from there into .gitignore; keep data on the storage "
            "that all nodes share.",
        )
    return package


#: Rules of one .gitignore: the folder it lies in, and what it says.
_Rules = tuple[Path, "GitIgnoreSpec"]


def _files(folder: Path, rules: list[_Rules]) -> Iterator[tuple[str, int]]:
    """Yield path and size of all files below a folder that no rule leaves out."""
    stack = [(folder, rules)]
    while stack:
        here, known = stack.pop()
        own = _rules_of(here)
        known = [*known, own] if own else known
        with storage_errors(here), os.scandir(here) as entries:
            for entry in entries:
                is_folder = entry.is_dir(follow_symlinks=False)
                if entry.name in _NEVER or _ignored(Path(entry.path), is_folder, known):
                    continue
                if is_folder:
                    stack.append((Path(entry.path), known))
                elif entry.is_file():
                    name = Path(entry.path).relative_to(folder).as_posix()
                    yield name, entry.stat().st_size


def _rules_of(folder: Path) -> _Rules | None:
    file = folder / ".gitignore"
    if not file.is_file():
        return None
    from pathspec import GitIgnoreSpec

    with storage_errors(file):
        lines = file.read_text(errors="replace").splitlines()
    return folder, GitIgnoreSpec.from_lines(lines)


def _outer_rules(folder: Path) -> list[_Rules]:
    """Return the rules of the folders above, up to the repository's own, outermost first."""
    above = []
    for parent in (folder, *folder.parents):
        above.append(parent)
        if (parent / ".git").exists():
            found = [_rules_of(path) for path in above[:0:-1]]
            return [rules for rules in found if rules is not None]
    return []


def _ignored(path: Path, is_folder: bool, rules: list[_Rules]) -> bool:
    """Return what the innermost rule that says anything of a path says."""
    for folder, spec in reversed(rules):
        name = path.relative_to(folder).as_posix() + ("/" if is_folder else "")
        verdict = spec.check_file(name).include
        if verdict is not None:
            return verdict
    return False


def size_text(size: float) -> str:
    """Return a number of bytes as people say it: `340 B`, `12.0 kB`, `2.1 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
