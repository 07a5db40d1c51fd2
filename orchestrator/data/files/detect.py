"""Of what kind the user's data is, and the source that reads it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.data.files import tables
from orchestrator.data.files.arrays import (
    ArrayTable,
    MemoryArrays,
    StoredArray,
    members,
    split_names,
)
from orchestrator.data.files.file import DataFile
from orchestrator.data.files.images import image_source
from orchestrator.data.files.table_source import table_source
from orchestrator.data.files.tables import FileTable, MemoryTable, Table
from orchestrator.data.source import Source, SourceContext
from orchestrator.errors import UsageError

_ENDS = (*tables.SUFFIXES, ".npz", ".npy")

#: Names of the column to learn in archives of arrays, where none is named.
_ARRAY_LABELS = ("y", "label", "labels")


def is_file(text: str) -> bool:
    """Whether a dataset's name is meant as a file, or as a folder of files."""
    looks = "/" in text or text.startswith((".", "~")) or text.lower().endswith(_ENDS)
    return looks or Path(text).exists()


def file_source(
    text: str, *, label: str | None, shape: tuple[int, ...] | None, context: SourceContext
) -> Source:
    """Return the source that reads a file or a folder.

    Args:
        text: Its path or address: a `.csv`, `.parquet`, `.arrow`, `.npz` or `.npy` file; or a
            folder with one folder of pictures a class; or one with `train` and `test`, which are
            such folders or files of one of these kinds.
        label: The column to learn; for `.npy`, the file of the labels.
        shape: Shape that the numbers of a table's row are brought to; None: each column is an
            input.
        context: Told how far looking through it is.

    Raises:
        UsageError: It isn't there, is of another kind, or holds something that can't be learnt.
        UnavailableError: It can't be read.
    """
    file = DataFile.at(text)
    if not file.is_folder():
        return _of_files({"all": file}, label, shape, context)
    if parts := _split_files(file):
        return _of_files(parts, label, shape, context)
    return image_source(file, context)


def memory_source(
    data: Any, *, label: str | None, shape: tuple[int, ...] | None, context: SourceContext
) -> Source:
    """Return the source that reads rows in memory.

    Args:
        data: A pandas DataFrame, an Arrow table, or a mapping of NumPy arrays.
        label: The column to learn.
        shape: Shape that the numbers of a table's row are brought to; None: each column is an
            input.
        context: Told how far looking through it is.

    Raises:
        UsageError: It is none of these, or holds something that can't be learnt.
    """
    import pyarrow as pa

    if isinstance(data, Mapping):
        import numpy as np

        arrays = {name: np.asarray(values) for name, values in data.items()}
        parts = split_names(list(arrays))
        sources: dict[str, Table] = {
            part: MemoryArrays(arrays={column: arrays[name] for column, name in columns.items()})
            for part, columns in parts.items()
        }
        return table_source(
            sources, label=label or _array_label(parts), shape=shape, context=context
        )
    if not isinstance(data, pa.Table):
        if type(data).__module__.partition(".")[0] != "pandas":
            raise UsageError(
                f"A dataset can't be a {type(data).__name__}.",
                hint="Give a name, a path, a pandas DataFrame, an Arrow table, or a dict of NumPy "
                "arrays.",
            )
        try:
            data = pa.Table.from_pandas(data, preserve_index=False)
        except pa.ArrowException as err:
            raise UsageError(f"The DataFrame can't be read: {err}.") from err
    return table_source({"all": MemoryTable(table=data)}, label=label, shape=shape, context=context)


def _split_files(folder: DataFile) -> dict[str, DataFile]:
    """Return the files `train` and `test` of a folder, if it has both."""
    found = {file.stem: file for file in folder.files() if file.suffix in _ENDS}
    return (
        {part: found[part] for part in ("train", "test")} if {"train", "test"} <= set(found) else {}
    )


def _of_files(
    files: Mapping[str, DataFile],
    label: str | None,
    shape: tuple[int, ...] | None,
    context: SourceContext,
) -> Source:
    sources: dict[str, Table] = {}
    for part, file in files.items():
        if file.suffix == ".npz":
            by_part = split_names(members(file))
            label = label or _array_label(by_part)
            for inner, columns in by_part.items():
                arrays = {c: StoredArray(file=file, member=name) for c, name in columns.items()}
                name = part if inner == "all" else inner
                sources[name] = ArrayTable(arrays=arrays, where=file.uri)
        elif file.suffix == ".npy":
            sources[part] = _npy(file, label)
        elif file.suffix in tables.SUFFIXES:
            sources[part] = FileTable(file=file)
        else:
            raise UsageError(
                f"{file} is of no kind that can be read.",
                hint=f"Files end in {', '.join(_ENDS)}; pictures lie in a folder, with one folder "
                "a class.",
            )
    if any(file.suffix == ".npy" for file in files.values()):
        label = "y"
    return table_source(sources, label=label, shape=shape, context=context)


def _npy(file: DataFile, label: str | None) -> Table:
    if label is None:
        raise UsageError(
            f"{file} holds one array; the labels are in another.",
            hint="Name their file: --label labels.npy.",
        )
    labels = DataFile.at(label)
    labels.is_folder()  # It says so if there is no such file.
    return ArrayTable(
        arrays={"x": StoredArray(file=file), "y": StoredArray(file=labels)}, where=file.uri
    )


def _array_label(parts: Mapping[str, Mapping[str, str]]) -> str | None:
    names = next(iter(parts.values()))
    return next((name for name in _ARRAY_LABELS if name in names), None)
