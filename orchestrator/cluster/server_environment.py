"""The environment of a fork server, which its workers are born with."""

from __future__ import annotations

import os
import sys

#: What glibc's malloc is told (mallopt(3)): buffers of up to 32 MiB, the most that it takes, come
#: from its heap, and what is freed stays there. By itself it gives large ones back, and the kernel
#: clears each page of the next: two workers of `cnn-mnist` spent a third of their time in the
#: kernel (728 rows/s, and 1,237 without). Other C libraries pass over it.
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(4 << 30),
    "MALLOC_TOP_PAD_": str(64 << 20),
}


def server_environment() -> dict[str, str]:
    """Return the environment to start a fork server in; what the user has set of it goes before."""
    return {
        **MALLOC,
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        # Its threads would not live on in a forked process.
        "OPENBLAS_NUM_THREADS": "1",
    }
