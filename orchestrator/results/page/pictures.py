"""Rows of a test set as pictures, read from the shards that the run was tested on."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from orchestrator.data.manifest import ROW_COLUMN, Manifest
from orchestrator.data.prepare import find_prepared
from orchestrator.data.shards import open_stream
from orchestrator.errors import LaunchJobError
from orchestrator.results.report import Report
from orchestrator.spec import dataset_name
from orchestrator.storage.storage import Storage

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: A picture's side: less is a table of numbers, more is too large for a page.
_SIDE = (4, 512)


def pictures(report: Report, storage: Storage, rows: Iterable[int]) -> dict[int, str]:
    """Return test rows as addresses of PNG pictures (`data:`), by the number of the row.

    Args:
        report: The run that was tested on them.
        storage: Where its dataset is prepared.
        rows: Numbers of the rows.

    Returns:
        Those that can be shown: none if the rows are no pictures, or the shards are gone.
    """
    try:
        prepared = find_prepared(
            dataset_name(report.dataset), report.dataset_fingerprint, storage=storage
        )
        name = _picture_column(prepared.manifest) if prepared else None
        if prepared is None or name is None:
            return {}
        found = _rows(prepared.folder, prepared.manifest, name, set(rows))
    except LaunchJobError:  # A page without pictures is better than none.
        return {}
    return {row: _address(pixels) for row, pixels in found.items()}


def _picture_column(manifest: Manifest) -> str | None:
    """Return the one column that holds pictures: 8 bits, grey or RGB."""
    low, high = _SIDE
    names = [
        column.name
        for column in manifest.features
        if column.dtype == "uint8"
        and len(column.shape) in (2, 3)
        and (*column.shape, 1)[2] in (1, 3)
        and all(low <= side <= high for side in column.shape[:2])
    ]
    return names[0] if len(names) == 1 else None


def _rows(folder: Any, manifest: Manifest, name: str, wanted: set[int]) -> dict[int, NDArray[Any]]:
    import numpy as np

    found: dict[int, NDArray[Any]] = {}
    for stream in range(manifest.streams):
        columns = open_stream(folder, manifest, "test", stream)
        for place in np.flatnonzero(np.isin(columns[ROW_COLUMN], sorted(wanted))):
            found[int(columns[ROW_COLUMN][place])] = columns[name][place]
    return found


def _address(pixels: NDArray[Any]) -> str:
    from PIL import Image

    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    held = io.BytesIO()
    Image.fromarray(pixels).save(held, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(held.getvalue()).decode()}"
