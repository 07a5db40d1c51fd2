"""A worker's neighbours: the run's other workers on its machine.

They need the same programs of XLA at the same moment, the same cores, and each other's gradients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.training.affinity import CpuShare

if TYPE_CHECKING:
    import tensorflow as tf

    from orchestrator.training.shared_sum import SharedSum
    from orchestrator.training.single_flight import SingleFlight


class Neighbours:
    """What a worker and its neighbours have agreed on.

    Args:
        flight: Says who compiles a program; None: each one for itself.
        cpus: What this worker takes its steps on; None: all CPUs of the machine.
        shared_sum: Sums over them, if they are all of the run's; None: they aren't.
    """

    def __init__(
        self,
        flight: SingleFlight | None = None,
        cpus: CpuShare | None = None,
        shared_sum: SharedSum | None = None,
    ) -> None:
        #: Sums over all workers of the run, if they are on this machine.
        self.shared_sum = shared_sum
        self._flight = flight
        self._cpus = cpus or CpuShare()

    def prepare(self, rows: int, *, compiled: bool) -> bool:
        """Get ready for steps of so many rows; it may take until a neighbour has compiled them.

        Who compiles may use the CPUs of those who wait for it.

        Args:
            rows: Rows of each step.
            compiled: Whether XLA compiles the step.

        Returns:
            Whether this worker compiles it for all, and then has to `tell`.

        Raises:
            OSError: The folder that neighbours share can't be written.
        """
        if self._flight is None or not compiled:
            self._cpus.keep(True)
            return False
        self._cpus.keep(self._flight.has_seen(rows))
        return self._flight.leads(rows)

    def tell(self, rows: tf.Tensor, leads: tf.Tensor, computed: tf.Tensor) -> None:
        """Trace what tells the neighbours that a step is compiled (`SingleFlight.tell`)."""
        if self._flight is not None:
            self._flight.tell(rows, leads, computed)
