"""The environment of a fork server, which its workers are born with."""

from __future__ import annotations

import os
import sys


def server_environment() -> dict[str, str]:
    """Return the environment to start a fork server in: this one, and what forking needs."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        # Its threads would not live on in a forked process.
        "OPENBLAS_NUM_THREADS": "1",
    }
