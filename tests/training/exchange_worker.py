"""Sums a short and a long vector over the workers; keeps the sums and what exchanged them."""

import itertools
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from orchestrator.training.exchange import sum_over_workers
from orchestrator.training.shared_sum import SharedSum

rank, workers, out = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
strategy = tf.distribute.MultiWorkerMirroredStrategy()
vectors = {name: np.load(out / f"{name}.npy")[rank] for name in ("short", "long")}
ways = {"apart": None, "together": SharedSum(out / "shared", rank=rank, workers=workers)}
sums = {}
for (name, vector), (where, shared) in itertools.product(vectors.items(), ways.items()):

    @tf.function(autograph=False)
    def summed():
        return strategy.run(lambda: sum_over_workers(tf.constant(vector), shared))  # noqa: B023 - traced here

    graph = summed.get_concrete_function().graph
    (sums[f"{name} {where} by"],) = {
        op.type for op in graph.get_operations() if "Collective" in op.type or "PyFunc" in op.type
    }
    sums[f"{name} {where}"] = summed().numpy()
np.savez(out / f"rank-{rank}.npz", **sums)
