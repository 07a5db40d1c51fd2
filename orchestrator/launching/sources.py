"""The source of a dataset: of one in the catalogue, or of a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.catalog import Catalog
from orchestrator.data.files.detect import file_source, is_file
from orchestrator.data.files.file import DataFile
from orchestrator.data.source import Source, SourceContext
from orchestrator.errors import UsageError
from orchestrator.storage.caches import cache_dir

#: Called with (what is being done, bytes or rows done, and in all, or None) during long work.
Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True, kw_only=True)
class SourceRequest:
    """A dataset as somebody named it."""

    #: Name in the catalogue, or path or address of a file.
    dataset: str
    #: Column to learn, where it is a file.
    label: str | None = None
    #: Shape that the numbers of a table's row are brought to; None: each column is an input.
    shape: tuple[int, ...] | None = None
    #: Folder of the dataset's files, if the user named one.
    data_dir: Path | None = None

    def located(self, catalog: Catalog) -> SourceRequest:
        """Return it with paths that are found from any folder."""
        if not self.is_file(catalog):
            return self
        label = self.label
        if label is not None and label.endswith(".npy"):
            label = DataFile.at(label).uri
        return SourceRequest(dataset=DataFile.at(self.dataset).uri, label=label, shape=self.shape)

    def is_file(self, catalog: Catalog) -> bool:
        """Whether it names a file: what is in the catalogue goes before files of the same name."""
        return self.dataset not in catalog.datasets.entries and is_file(self.dataset)

    def find(self, catalog: Catalog, progress: Progress) -> Source:
        """Return the source.

        Args:
            catalog: Datasets by name.
            progress: Told of downloads, and of looking through a file.

        Raises:
            UsageError: There is no such dataset, or it can't be learnt from.
            DataUnavailableError: Its files can't be had.
            UnavailableError: A file can't be read.
        """
        context = SourceContext(data_dir=self.data_dir, cache_dir=cache_dir(), progress=progress)
        if self.is_file(catalog):
            return file_source(self.dataset, label=self.label, shape=self.shape, context=context)
        entry = catalog.datasets.get(self.dataset)
        if self.label is not None:
            raise UsageError(
                f"--label {self.label} is for a dataset in a file; {entry.name} knows its own."
            )
        return entry.load(context)
