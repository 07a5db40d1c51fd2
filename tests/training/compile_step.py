"""Compiles a step by XLA and prints what it gives: argument 1 is the folder of kept programs,
argument 2 the one that TensorFlow works in."""

import sys
from pathlib import Path

from orchestrator.training.compiled import CompiledPrograms

kept, at_work = map(Path, sys.argv[1:])
programs = CompiledPrograms(kept, at_work)
found = programs.use()

import tensorflow as tf  # noqa: E402


@tf.function(jit_compile=True, autograph=False)
def step(x: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.math.sin(x) * x)


given = float(step(tf.range(100, dtype=tf.float32)))
made = [path for path in at_work.iterdir() if not path.is_symlink()]
programs.publish()
print(found, len(made), given.hex())
