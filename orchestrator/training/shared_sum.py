"""Sums over the workers of one machine, through memory that they share.

TensorFlow's collectives send every vector through gRPC, also to a process of the same machine: some
25 handovers between threads in each worker, for two workers. Here each worker writes its vector
beside those of the others, tells them so with a byte, and sums all of them once each has told.
Measured on two cores, the exchange by itself, against the faster of TensorFlow's ways: two workers
of `lstm-mnist` (131 KiB) took 0.07 ms instead of 0.34, four 0.24 instead of 2.2, and eight of a
tiny model (50 KiB) 0.5 instead of 5.3; at 8 MiB it was 2.1 instead of 8.9, 7.8 instead of 27, and
19 instead of 67.
"""

from __future__ import annotations

import itertools
import mmap
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.data.aligned import aligned
from orchestrator.training.rendezvous import Meeting, meet

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf
    from numpy.typing import NDArray

#: Each worker tells each other one, and has a connection to it.
_MOST_WORKERS = 16

#: Most bytes of memory that a vector's sum may take, of all workers together.
_MOST_BYTES = 1 << 30

#: A step's vectors are written while some worker may still sum those of the step before. None can
#: be two steps ahead, since it needs all others for each.
_TURNS = 2

#: Seconds after which another thread has to give up Python's lock, which an exchange needs.
#: Python's own 5 ms are a step and more: with a checkpoint each 50 steps, written by a thread,
#: `lstm-mnist` gave 4% more rows/s with this.
_SWITCH_S = 0.0002


class NeighbourLostError(Exception):
    """A worker of this machine is gone."""


class SharedSum:
    """Sums vectors over all workers of a run, which are on this machine.

    Args:
        folder: Folder that all of them share, and nobody else uses.
        rank: Rank of this one.
        workers: How many they are.
    """

    def __init__(self, folder: Path, *, rank: int, workers: int) -> None:
        self._folder, self._rank, self._workers = folder, rank, workers
        self._numbers = itertools.count()

    @staticmethod
    def suits(workers: int) -> bool:
        """Return whether so many workers can sum so, on this kind of system (memfd_create(2))."""
        return 1 < workers <= _MOST_WORKERS and hasattr(os, "memfd_create")

    def takes(self, size: int) -> bool:
        """Return whether a vector of so many bytes is summed so."""
        return size * self._workers * _TURNS <= _MOST_BYTES

    def sum(self, vector: tf.Tensor) -> tf.Tensor:
        """Trace the sum of every worker's vector, in the order of ranks.

        All workers have to trace the same sums, in the same order; each waits for the others.

        Args:
            vector: `(n,)`, of the same n on each worker.

        Raises:
            UnavailableError: A worker didn't come.
            OSError: There is no memory for it.
        """
        import tensorflow as tf

        exchange = self._exchange(vector.shape.num_elements(), vector.dtype.as_numpy_dtype)
        total = tf.numpy_function(exchange, [vector], vector.dtype)
        return tf.ensure_shape(total, vector.shape)

    def _exchange(self, length: int, dtype: Any) -> Exchange:
        import numpy as np

        sys.setswitchinterval(_SWITCH_S)
        kind = np.dtype(dtype)
        meeting = meet(
            self._folder,
            f"sum-{next(self._numbers)}",
            who=self._rank,
            count=self._workers,
            size=_TURNS * self._workers * length * kind.itemsize,
        )
        return Exchange(meeting, self._rank, (_TURNS, self._workers, length), kind)


class Exchange:
    """One worker's side of the exchange of one vector.

    Args:
        meeting: What the workers share.
        rank: Rank of this one.
        shape: Turns, workers and length.
        dtype: Of the vector's numbers.
    """

    def __init__(
        self, meeting: Meeting, rank: int, shape: tuple[int, int, int], dtype: np.dtype[Any]
    ) -> None:
        import numpy as np

        memory = mmap.mmap(meeting.memory, 0)
        os.close(meeting.memory)
        self._turns = itertools.cycle(np.frombuffer(memory, dtype).reshape(shape))
        self._rank, self._peers = rank, sorted(meeting.peers.items())

    def __call__(self, vector: NDArray[Any]) -> NDArray[Any]:
        """Return the sum of all workers' vectors.

        Args:
            vector: `(n,)`: this worker's.

        Raises:
            NeighbourLostError: A worker has ended.
        """
        import numpy as np

        vectors = next(self._turns)
        vectors[self._rank] = vector
        try:
            for rank, peer in self._peers:  # noqa: B007 - the error names it
                peer.send(b".")
            for rank, peer in self._peers:  # noqa: B007 - the error names it
                if not peer.recv(1):
                    raise ConnectionResetError
        except OSError as err:
            raise NeighbourLostError(f"Rank {rank}, on the same machine, is gone.") from err
        total = aligned(vector.shape, vector.dtype)
        np.add(vectors[0], vectors[1], out=total)
        for other in vectors[2:]:
            total += other
        return total
