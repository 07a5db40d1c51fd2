"""RunSpec: what a run was asked to be, complete enough to ask for it again."""

from __future__ import annotations

import dataclasses
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from orchestrator.errors import UsageError
from orchestrator.storage.storage import check_name

#: What workers compute on; `auto` takes GPUs where every worker can have one, else CPUs.
Device = Literal["auto", "cpu", "gpu"]

#: What layers compute in; variables are float32 in any case.
Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]

#: Streams a dataset is dealt into unless told otherwise: many worker counts divide it evenly.
DEFAULT_STREAMS = 48


#: Fields of a request that are tuples; JSON knows lists.
_TUPLES = ("tags", "notes", "secrets")


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What can be asked of any run, whatever its job.

    Raises:
        UsageError: A value can't be, whatever the dataset and the machine.
    """

    #: Workers, W.
    workers: int = 1
    #: Fewest workers that it may run on, if not W.
    min_workers: int | None = None
    #: Seed of everything random in the run.
    seed: int = 0
    #: Streams the dataset is dealt into, S.
    streams: int = DEFAULT_STREAMS
    #: What workers compute on.
    device: Device = "auto"
    #: What layers compute in.
    precision: Precision = "float32"
    #: Whether XLA compiles the part of a step that it can.
    jit: bool = False
    #: Whether TensorFlow's operations give the same bits each time; None: on CPUs.
    deterministic: bool | None = None
    #: Failures of workers after which training still goes on.
    retries: int = 3
    #: Steps of an epoch between checkpoints; None: one at the end of each epoch.
    checkpoint_every: int | None = None
    #: Newest checkpoints that are kept, beside the best.
    keep: int = 2
    #: Seconds to wait for free workers; None: as long as it takes.
    wait_s: float | None = None
    #: Name given by the user, shown in lists.
    name: str | None = None
    #: Labels given by the user.
    tags: tuple[str, ...] = ()
    #: Folder of the dataset's files, if the user named one.
    data_dir: str | None = None
    #: Column to learn of a dataset that is a file.
    label: str | None = None
    #: Names of environment variables whose values only the run's processes may know.
    secrets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for option in ("workers", "streams", "keep"):
            _check_whole(option, getattr(self, option), least=1)
        for option in ("seed", "retries"):
            _check_whole(option, getattr(self, option), least=0)
        if self.checkpoint_every is not None:
            _check_whole("checkpoint-every", self.checkpoint_every, least=1)
        if self.min_workers is not None:
            _check_whole("workers", self.min_workers, least=1)
            if self.min_workers > self.workers:
                raise UsageError(
                    f"--workers {self.min_workers}:{self.workers} has more at least than at most.",
                    hint=f"Write {self.workers}:{self.min_workers}.",
                )
        if self.wait_s is not None and not self.wait_s >= 0:
            raise UsageError(f"--wait can't be {self.wait_s:g} seconds.")
        if self.device not in get_args(Device):
            raise UsageError(f"--device is one of {', '.join(get_args(Device))}.")
        if self.precision not in get_args(Precision):
            raise UsageError(f"--precision is one of {', '.join(get_args(Precision))}.")

    @property
    def least_workers(self) -> int:
        """Fewest workers that it may run on."""
        return self.workers if self.min_workers is None else self.min_workers

    @property
    def source_dir(self) -> Path | None:
        """The folder of the dataset's files as a path."""
        return Path(self.data_dir).expanduser().absolute() if self.data_dir else None


@dataclass(frozen=True, kw_only=True)
class RunSpec(RunOptions):
    """One run, as it was asked for."""

    #: Identifier; sorts by time.
    run_id: str
    #: Name of the job.
    job: str
    #: Every parameter of the job.
    params: Mapping[str, bool | int | float | str]
    #: Name of the dataset, or the path or address of its file.
    dataset: str
    #: Passes over the training rows.
    epochs: int
    #: Rows of a global batch, B.
    batch_size: int
    #: Announced departures from what was asked, such as a dataset that stands in for another.
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_name(self.run_id, what="run")
        for option in ("epochs", "batch-size"):
            _check_whole(option, getattr(self, option.replace("-", "_")), least=1)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            **dataclasses.asdict(self),
            **{name: list(getattr(self, name)) for name in _TUPLES},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, where: str) -> RunSpec:
        """Build it from JSON values.

        Args:
            values: What `to_dict` returned.
            where: File the values come from, for messages.

        Raises:
            UsageError: A key is unknown or missing, or its value can't be.
        """
        fields = {f.name: f for f in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - set(fields)):
            raise UsageError(f"{where}: unknown key {unknown[0]!r}.")
        needed = {name for name, f in fields.items() if f.default is dataclasses.MISSING}
        if missing := sorted(needed - set(values)):
            raise UsageError(f"{where}: key {missing[0]!r} is missing.")
        tuples = {key: tuple(values.get(key, ())) for key in _TUPLES}
        try:
            return cls(**{**values, **tuples})
        except UsageError as err:
            raise UsageError(f"{where}: {err.message}", hint=err.hint) from err


def dataset_name(dataset: str) -> str:
    """Return what a dataset is called among prepared ones: its name, or that of its file."""
    name = re.sub(r"[^a-z0-9._-]+", "-", dataset.rpartition("/")[2].lower())
    return re.sub(r"\.{2,}", ".", name).strip(".-_")[:100] or "data"


def new_run_id(job: str, now: datetime) -> str:
    """Return a run identifier that sorts by time and is unique.

    Args:
        job: Name of the job.
        now: Time at which the run is asked for, in UTC.
    """
    stamp = now.strftime("%Y%m%d-%H%M%S")
    return f"{stamp}-{re.sub(r'[^a-z0-9-]+', '-', job.lower())[:40]}-{secrets.token_hex(3)}"


def _check_whole(option: str, value: object, *, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UsageError(f"--{option} must be at least {least}, not {value!r}.")
