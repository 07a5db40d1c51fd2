"""How gradients of workers become the gradient of the global batch.

Keras averages the loss over the rows of each replica and divides by the number of replicas. That
is the mean over the global batch only if every replica holds the same number of rows. Here each
worker's gradient is weighted by its share of the batch before the sum, so the sum is exact for
any distribution of rows, and for any train step that ends in `optimizer.apply`.

The sum is taken before the optimizer sees the gradients, not inside it, for two more reasons:
gradient clipping then acts on the gradient of the global batch (Keras clips each replica's
gradient before it is summed), and all gradients travel as one vector, which costs one exchange a
step instead of one a variable. A worker's wish to pause travels with them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.training.exchange import packed, sum_over_workers, unpacked

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from orchestrator.training.shared_sum import SharedSum


class GradientReduction:
    """Sums the gradients of all workers, each weighted by its share of the global batch.

    Args:
        shared: Sums over workers that are all on this machine; None: they aren't.
    """

    def __init__(self, shared: SharedSum | None = None) -> None:
        self._shared = shared
        self._share: tf.Tensor | None = None
        self._wish: tf.Tensor | None = None
        self._finite: tf.Tensor | None = None
        self._scaling = False
        self._wishes: tf.Tensor | None = None

    def attach(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Make an optimizer apply summed gradients, and not sum them again itself."""
        apply = optimizer.apply

        def apply_reduced(grads: Sequence[Any], trainable_variables: Any = None) -> Any:
            return apply(self._reduce(list(grads)), trainable_variables)

        optimizer.apply = apply_reduced
        self._scaling = hasattr(optimizer, "inner_optimizer")
        # A loss-scaling optimizer hands its gradients on to the one inside it.
        for stage in (optimizer, getattr(optimizer, "inner_optimizer", None)):
            if stage is not None:
                stage._all_reduce_sum_gradients = list

    @contextlib.contextmanager
    def step(self, share: tf.Tensor, wish: tf.Tensor) -> Iterator[None]:
        """Trace a train step whose gradients count for `share` of an equal part.

        Args:
            share: Scalar: rows of this worker · workers / rows of the global batch.
            wish: Scalar: 1 if this worker wishes to pause, else 0.
        """
        self._share, self._wish = share, wish
        self._finite = self._wishes = None
        try:
            yield
        finally:
            self._share = None

    def finite(self) -> tf.Tensor:
        """Return whether the summed gradient of the step just traced is finite: scalar bool.

        It is the same on every worker, so all of them stop at the same step.
        """
        import tensorflow as tf

        return tf.constant(True) if self._finite is None else self._finite

    def pause(self) -> tf.Tensor:
        """Return whether any worker wished to pause in the step just traced: scalar bool.

        Wishes travel with the gradients: they cost nothing, and all workers learn of them at the
        same step.
        """
        import tensorflow as tf

        return tf.constant(False) if self._wishes is None else self._wishes > 0

    def _reduce(self, grads: list[Any]) -> list[Any]:
        """Return the sum of each gradient over the workers; None stays None."""
        import tensorflow as tf

        if self._share is None:
            return grads
        dense = [None if g is None else tf.convert_to_tensor(g) for g in grads]
        total: dict[int, tf.Tensor] = {}
        for dtype in {g.dtype for g in dense if g is not None}:
            places = [i for i, g in enumerate(dense) if g is not None and g.dtype == dtype]
            summed = self._sum([dense[i] for i in places], tf.cast(self._share, dtype))
            total |= dict(zip(places, summed, strict=True))
        return [total.get(i) for i in range(len(grads))]

    def _sum(self, grads: list[tf.Tensor], share: tf.Tensor) -> list[tf.Tensor]:
        """Sum tensors of one type over the workers, as one vector."""
        import tensorflow as tf

        wish = tf.cast(self._wish, share.dtype)
        total = sum_over_workers(packed([packed(grads) * share, wish]), self._shared)
        # An optimizer that scales the loss tries scales that are too large, and takes no step then.
        if not self._scaling:
            self._finite = tf.logical_and(self.finite(), tf.reduce_all(tf.math.is_finite(total)))
        *sums, self._wishes = unpacked(total, [*(g.shape for g in grads), ()])
        return sums
