"""What Ray, Ray Train and TensorFlow read from the environment, wherever a run's workers run."""

from __future__ import annotations

import os
from collections.abc import Mapping

#: In the driver, and in the workers of every node.
TRAIN_SETTINGS: Mapping[str, str] = {
    "RAY_TRAIN_V2_ENABLED": "1",
    # The dashboard tells of training runs (/api/train/v2/runs/v1).
    "RAY_TRAIN_ENABLE_STATE_TRACKING": "1",
    # The controller looks at its workers this often; at Ray's 2 s a start costs seconds more.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.25",
    # What it tells is told by the workers themselves, and it is one more process to start.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    # Ray Train would also write what is printed as a line of its own log, into the same file.
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    # Workers stay in the folder they were started in.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TF_CPP_MIN_LOG_LEVEL": "1",
    # What glibc's malloc is told (mallopt(3)), which reads it when a process is started; other C
    # libraries pass over it. Buffers of up to 32 MiB, the most that it takes, come from its heap,
    # and what is freed stays there. By itself it gives large ones back, and the kernel clears each
    # page of the next: two workers of `cnn-mnist` spent a third of their time so (728 rows/s, and
    # 1,237 without). TensorFlow takes the first one back (`training/malloc.py`).
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(4 << 30),
    "MALLOC_TOP_PAD_": str(64 << 20),
}


def apply(settings: Mapping[str, str]) -> dict[str, str]:
    """Put settings into the environment where it doesn't have them already.

    Returns:
        The settings as they are now.
    """
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    return {name: os.environ[name] for name in settings}
