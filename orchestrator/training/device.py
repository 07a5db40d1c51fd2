"""What workers compute on: as asked, or announced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from orchestrator.errors import UsageError
from orchestrator.spec import Device


@dataclass(frozen=True, kw_only=True)
class DeviceChoice:
    """The device of a run's workers."""

    #: What all of them compute on.
    device: Literal["cpu", "gpu"]
    #: What the user should know about it, if it isn't what they would expect.
    note: str | None = None


def choose_device(wanted: Device, *, gpus: int, workers: int) -> DeviceChoice:
    """Choose GPUs if every worker can have one; say so where there are some, but too few.

    Args:
        wanted: What was asked for.
        gpus: GPUs that Ray knows of.
        workers: Number of workers.

    Raises:
        UsageError: GPUs were asked for, and there are fewer than workers.
    """
    if wanted == "cpu":
        return DeviceChoice(device="cpu")
    if gpus >= workers:
        return DeviceChoice(device="gpu")
    if wanted == "gpu":
        raise UsageError(
            f"{workers} workers need {workers} GPUs; there are {gpus}.",
            hint="Use fewer workers, or --device cpu.",
        )
    if gpus:
        note = f"{gpus} GPUs are too few for {workers} workers, so they compute on CPUs."
        return DeviceChoice(device="cpu", note=note)
    return DeviceChoice(device="cpu")
