"""One worker of a machine has XLA compile a program; the others take what it has made.

All of them need the same program at the same moment. Four workers on two cores that compile it side
by side take twice as long as one that does it alone: 3 s of processor time each, for `lstm-mnist`.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf

#: Who waits for longer compiles the program too. (A worker that fails takes the others with it.)
_PATIENCE_S = 60.0

#: How often it is looked for.
_LOOK_S = 0.02


class SingleFlight:
    """Tells one worker to compile each program, and the others when it is there.

    The programs of an attempt differ by the rows of a step alone.

    Args:
        folder: Folder that all workers of the attempt on this machine share, and nobody else uses.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: set[int] = set()

    def has_seen(self, rows: int) -> bool:
        """Return whether this worker has asked for steps of so many rows before."""
        return rows in self._seen

    def leads(self, rows: int) -> bool:
        """Ask before a step with so many rows is taken; the answer may come when it is compiled.

        Returns:
            Whether this worker is to compile its program, and then to `tell`.

        Raises:
            OSError: The folder can't be written.
        """
        if self.has_seen(rows):
            return False
        self._seen.add(rows)
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            (self._folder / f"{rows}.begun").touch(exist_ok=False)
        except FileExistsError:
            self._wait(self._folder / f"{rows}.done")
            return False
        return True

    def tell(self, rows: tf.Tensor, leads: tf.Tensor, computed: tf.Tensor) -> None:
        """Trace what tells the others that they need not wait any more.

        Args:
            rows: Scalar: rows of the step.
            leads: Scalar bool: whether this worker is to tell.
            computed: Anything that the program computes.
        """
        import tensorflow as tf

        def write() -> Any:
            done = tf.strings.join([str(self._folder), "/", tf.strings.as_string(rows), ".done"])
            return tf.io.write_file(done, "")

        with tf.control_dependencies([computed]):
            tf.cond(leads, write, tf.no_op)

    def _wait(self, done: Path) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while not done.exists() and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
