"""What glibc's malloc was told when the process was started, told again after TensorFlow."""

from __future__ import annotations

import ctypes
import os

#: The setting's number, and its name in the environment (glibc, mallopt(3)).
_MMAP_THRESHOLD, _IN_ENVIRONMENT = -3, "MALLOC_MMAP_THRESHOLD_"


def keep_freed_memory() -> None:
    """Have malloc keep what a step frees, as the environment says, for the next step to use.

    TensorFlow sets the threshold back to 128 KiB when a process makes the first iterator that is
    fed by Python (`ApplyPython311MemoryPatch` in its GeneratorDataset, once a process). From there
    on the kernel takes each large buffer of a step back and clears the pages of the next one. C
    libraries other than glibc have no such setting.
    """
    asked = os.environ.get(_IN_ENVIRONMENT)
    tell = getattr(ctypes.CDLL(None), "mallopt", None)
    if asked is not None and tell is not None:
        tell(_MMAP_THRESHOLD, int(asked))
