"""Sums a short and a long vector over three workers; keeps the sums and what exchanged them."""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from orchestrator.training.exchange import sum_over_workers

rank, out = int(sys.argv[1]), Path(sys.argv[3])
strategy = tf.distribute.MultiWorkerMirroredStrategy()
vectors = {name: np.load(out / f"{name}.npy")[rank] for name in ("short", "long")}
sums = {}
for name, vector in vectors.items():

    @tf.function(autograph=False)
    def summed():
        return strategy.run(lambda: sum_over_workers(tf.constant(vector)))  # noqa: B023 - traced here

    graph = summed.get_concrete_function().graph
    (sums[f"{name} by"],) = {op.type for op in graph.get_operations() if "Collective" in op.type}
    sums[name] = summed().numpy()
np.savez(out / f"rank-{rank}.npz", **sums)
