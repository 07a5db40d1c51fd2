"""At which time a log had which length, so that who asks can be shown what was printed since.

What ranks print is TensorFlow's and the user's as well; most of it bears no time. It goes straight
to the file, since what a process says last, when it crashes, must not depend on anyone who would
put a time before it. So the times are kept beside it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from datetime import datetime
from pathlib import Path

#: How often the length is looked at.
_EVERY_S = 1.0


def keep_times(log: Path, times: Path) -> None:
    """Keep the times of a log from now on, in a thread that ends with the process.

    Args:
        log: The log, which is there.
        times: File that gets a line whenever it has grown: seconds since 1970, and bytes.
    """
    thread = threading.Thread(target=_keep, args=(log, times), name="log-times", daemon=True)
    thread.start()


def _keep(log: Path, times: Path) -> None:
    noted = -1
    while True:
        # A log that can't be looked at has no times; that is no reason to end a run.
        with contextlib.suppress(OSError):
            size = log.stat().st_size
            if size != noted:
                with times.open("a") as file:
                    file.write(f"{time.time():.1f} {size}\n")
                noted = size
        time.sleep(_EVERY_S)


def place_at(times: Path, then: datetime) -> int:
    """Return how long a log was at a time: what it has after so many bytes came later.

    Args:
        times: File of its times; where there is none, everything came later.
        then: The time.
    """
    place = 0
    with contextlib.suppress(OSError):
        for line in times.read_text().splitlines():
            stamp, _, size = line.partition(" ")
            with contextlib.suppress(ValueError):
                if float(stamp) <= then.timestamp():
                    place = int(size)
    return place
