"""The project that a new one begins as: its files, and how they are laid down."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


def write_project(folder: Path) -> list[Path]:
    """Write a new project; return its files.

    Args:
        folder: Where to; it is made unless it is there.

    Raises:
        UsageError: A file of it exists, or the folder can't be written. Then nothing is left that
            was not there before.
    """
    template = {
        folder / name: content
        for name, content in _contents(files("orchestrator") / "templates" / "project")
    }
    for path in template:
        if os.path.lexists(path):
            raise _in_the_way(path)
    with contextlib.ExitStack() as undo:
        try:
            for path, content in template.items():
                _make_folder(path.parent, undo)
                with path.open("xb") as file:
                    undo.callback(path.unlink)
                    file.write(content)
        except FileExistsError as err:
            raise _in_the_way(Path(err.filename)) from err
        except OSError as err:
            raise UsageError(
                f"{folder} can't become a project: {err}.", hint="Name another folder."
            ) from err
        undo.pop_all()
    return list(template)


def _contents(folder: Traversable) -> Iterator[tuple[Path, bytes]]:
    """Yield each file's path in a folder, and its content."""
    # Installers compile what they install.
    found = [entry for entry in folder.iterdir() if entry.name != "__pycache__"]
    for entry in sorted(found, key=lambda entry: (entry.is_file(), entry.name)):
        if entry.is_file():
            yield Path(entry.name), entry.read_bytes()
        else:
            yield from ((Path(entry.name) / path, content) for path, content in _contents(entry))


def _make_folder(folder: Path, undo: contextlib.ExitStack) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent, undo)
    folder.mkdir()
    undo.callback(folder.rmdir)


def _in_the_way(path: Path) -> UsageError:
    return UsageError(
        f"{path} exists; launch-job init overwrites nothing.",
        hint="Move it away, or name another folder: launch-job init DIR.",
    )
