"""Whether a run that was done again came out the same, and if not, what differs first."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from orchestrator.errors import UnavailableError
from orchestrator.results.report import Report
from orchestrator.storage.atomic import storage_errors

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: What differs relatively by no more than this is the same metric.
TOLERANCE = 1e-3

#: The file of a `.keras` archive that holds the weights.
_WEIGHTS = "model.weights.h5"

#: Of a history's entry, what a clock says.
_CLOCKED = {"seconds", "rows_per_s"}

#: What a run comes out as, done again.
Outcome = Literal["bitwise", "tolerance", "different"]


@dataclass(frozen=True, kw_only=True)
class Change:
    """Something that was not as it was, before anything was run."""

    #: What it is.
    name: str
    #: As it was in the first run.
    before: str | None
    #: As it is now.
    now: str | None

    def __str__(self) -> str:
        return f"{self.name}: {_short(self.before)} → {_short(self.now)}"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came of doing a run again."""

    #: The run.
    run_id: str
    #: The run that did it again.
    again: str
    #: Whether the weights are bitwise the same, or the metrics to `TOLERANCE`, or neither.
    outcome: Outcome
    #: What was not as it was.
    changes: tuple[Change, ...]
    #: The first thing that differs in what came out; None if nothing does.
    first_difference: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**asdict(self), "changes": [asdict(c) for c in self.changes]}


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[Change, ...]:
    """Return what differs between the origins of two runs, what matters most first.

    Args:
        before: `provenance` of the first run's `spec.json`, with its `dataset_fingerprint`.
        now: The same of now.
    """
    old, new = (
        {
            "job's file (SHA-256)": origin.get("code_digest"),
            "data (fingerprint)": origin.get("dataset_fingerprint"),
            **origin.get("versions", {}),
            "git commit": origin.get("git_commit"),
            "git diff": origin.get("git_diff"),
            "host": origin.get("host"),
        }
        for origin in (before, now)
    )
    return tuple(
        Change(name=name, before=old.get(name), now=new.get(name))
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    )


def judge(
    first: tuple[Report, Path], again: tuple[Report, Path], found: tuple[Change, ...]
) -> Verdict:
    """Hold a run against the one that it did again.

    Args:
        first: The run's report, and its model's file.
        again: Those of the run that did it again.
        found: What was not as it was.

    Raises:
        UnavailableError: A model can't be read.
    """
    weights = first_other_weight(first[1], again[1])
    metric = first_other_metric(first[0], again[0], tolerance=0.0)
    close = first_other_metric(first[0], again[0], tolerance=TOLERANCE) is None
    return Verdict(
        run_id=first[0].run_id,
        again=again[0].run_id,
        outcome="bitwise" if weights is None else "tolerance" if close else "different",
        changes=found,
        first_difference=None if weights is None else metric or weights,
    )


def first_other_metric(first: Report, again: Report, *, tolerance: float) -> str | None:
    """Return the first metric that is not the same, in words: of the epochs, then of the test.

    Args:
        first: A report.
        again: Another one.
        tolerance: Relative difference that is none.
    """
    if len(first.history) != len(again.history):
        return f"epochs: {len(first.history)} → {len(again.history)}"
    for name, one, other in _metrics(first, again):
        if not _same(one, other, tolerance):
            return f"{name}: {one} → {other}"
    return None


def first_other_weight(first: Path, again: Path) -> str | None:
    """Return the first array of two models that is not bitwise the same, in words.

    Raises:
        UnavailableError: A model can't be read.
    """
    one, other = weights_of(first), weights_of(again)
    if list(one) != list(other):
        return "the models have other layers"
    for name, array in one.items():
        twin = other[name]
        if array.shape != twin.shape or array.tobytes() != twin.tobytes():
            return f"weights {name}"
    return None


def weights_of(model: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a `.keras` file, by their paths in it; Keras is not needed for that.

    Raises:
        UnavailableError: It can't be read.
    """
    import h5py

    with storage_errors(model):
        data = model.read_bytes()
    found: dict[str, NDArray[Any]] = {}

    def keep(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            content = io.BytesIO(archive.read(_WEIGHTS))
        with h5py.File(content) as file:
            file.visititems(keep)
    except (zipfile.BadZipFile, KeyError, OSError) as err:
        raise UnavailableError(f"{model} is damaged: {err}.") from err
    return found


def _metrics(first: Report, again: Report) -> Iterator[tuple[str, Any, Any]]:
    for one, other in zip(first.history, again.history, strict=True):
        for name in [n for n in one if n not in _CLOCKED]:
            yield f"{name} of epoch {one['epoch']}", one[name], other.get(name)
    for name in ("loss", "accuracy"):
        yield f"test {name}", getattr(first, name), getattr(again, name)


def _same(one: Any, other: Any, tolerance: float) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=tolerance) or (math.isnan(one) and math.isnan(other))


def _short(text: str | None) -> str:
    if not text:
        return "none"
    lines = text.splitlines()
    return f"{len(lines)} lines" if len(lines) > 1 else text if len(text) <= 40 else f"{text[:12]}…"
