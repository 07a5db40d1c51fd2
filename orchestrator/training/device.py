"""What workers compute on: as asked, or announced."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from orchestrator.errors import RunFailedError, UsageError
from orchestrator.spec import Device
from orchestrator.training.leader import await_leader

if TYPE_CHECKING:
    import tensorflow as tf


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


def on_gpus() -> bool:
    """Return whether this worker computes on GPUs: `make_strategy` hides them where it doesn't."""
    import tensorflow as tf

    return bool(tf.config.get_visible_devices("GPU"))


def make_strategy(device: Literal["cpu", "gpu"]) -> tf.distribute.Strategy:
    """Return the strategy of a run's workers; Ray has chosen which GPU this one may see.

    On GPUs, gradients are summed by NCCL, and memory is taken as it is needed: by itself,
    TensorFlow takes all of a GPU, also what others use of it. To a worker that was given none, Ray
    leaves all of its machine's in sight, so the GPUs are hidden here from those that are to compute
    on CPUs.

    Raises:
        RunFailedError: A GPU was promised, and TensorFlow has none: it would compute on the CPU,
            and say nothing.
    """
    import tensorflow as tf

    await_leader()
    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
        return tf.distribute.MultiWorkerMirroredStrategy()
    found = tf.config.list_physical_devices("GPU")
    if not found:
        given = os.environ.get("CUDA_VISIBLE_DEVICES", "none")
        raise RunFailedError(
            f"TensorFlow sees no GPU on {socket.gethostname()}; Ray gave this worker GPU {given}.",
            hint="Install launch-job[gpu] there, and see that the driver works (`nvidia-smi`).",
        )
    for gpu in found:
        tf.config.experimental.set_memory_growth(gpu, True)
    communication = tf.distribute.experimental.CommunicationImplementation.NCCL
    return tf.distribute.MultiWorkerMirroredStrategy(
        communication_options=tf.distribute.experimental.CommunicationOptions(
            implementation=communication
        )
    )
