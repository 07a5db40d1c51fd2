"""Writes checkpoints while training goes on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from orchestrator.training.checkpoint import Checkpoint, CheckpointStore


class CheckpointWriter:
    """Writes one checkpoint at a time, in a thread of its own.

    Whoever hands one over waits for the one before it, so there is never more than one in memory,
    and an error is raised by the next call.

    Args:
        store: Where checkpoints go.
        on_written: Called in that thread with each checkpoint that is whole.
    """

    def __init__(self, store: CheckpointStore, on_written: Callable[[Checkpoint], None]) -> None:
        self._store = store
        self._on_written = on_written
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._last: Future[None] | None = None

    def write(self, checkpoint: Checkpoint) -> None:
        """Begin to write a checkpoint.

        Raises:
            UnavailableError: The one before it could not be written.
        """
        self.wait()
        self._last = self._thread.submit(self._write, checkpoint)

    def wait(self) -> None:
        """Wait until all that was handed over is on disk.

        Raises:
            UnavailableError: It could not be written.
        """
        last, self._last = self._last, None
        if last is not None:
            last.result()

    def _write(self, checkpoint: Checkpoint) -> None:
        self._store.save(checkpoint)
        self._on_written(checkpoint)
