"""Trains a small model in each precision, with XLA and without, on one worker of a group."""

import json
import sys
from pathlib import Path

import keras
import numpy as np

from orchestrator.catalog import Training
from orchestrator.data.batches import StepReader
from orchestrator.data.cache import StoredShards
from orchestrator.data.manifest import Manifest
from orchestrator.data.plan import TrainingPlan
from orchestrator.storage.run_folder import RunFolder
from orchestrator.training.callbacks import News
from orchestrator.training.device import make_strategy
from orchestrator.training.fit import train
from orchestrator.training.model import distribute

rank, workers, dataset, out = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
manifest = Manifest.read(dataset)
plan = TrainingPlan(
    rows=manifest.rows("train"),
    streams=manifest.streams,
    workers=workers,
    batch_size=16,
    epochs=3,
)
strategy = make_strategy("cpu")
found = {}
for precision in ("float32", "mixed_bfloat16", "mixed_float16"):
    for jit in (False, True):
        keras.config.set_dtype_policy(precision)
        keras.utils.set_random_seed(1)
        layers = [keras.layers.Dense(8, activation="relu"), keras.layers.Dense(2, dtype="float32")]
        with strategy.scope():
            model = keras.Sequential([keras.Input((4,)), *layers])
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile("adam", loss=loss, metrics=["accuracy"])
        model.jit_compile = jit
        training = Training(model=model)
        distribute(training, strategy, manifest)
        reader = StepReader(shards=StoredShards(dataset, manifest), plan=plan, worker=rank, seed=7)
        attempt = RunFolder(path=Path(out) / f"run-{precision}-{jit}").attempt(1)
        trained = train(training, strategy, reader, attempt, news=News(None))
        found[f"{precision} {jit}"] = {
            "computed_in": model.layers[0].compute_dtype,
            "weights": sorted({w.dtype.name for w in map(np.asarray, model.get_weights())}),
            "optimizer": type(model.optimizer).__name__,
            "loss": [epoch["loss"] for epoch in trained.history],
            "sum": float(sum(np.abs(w).sum() for w in model.get_weights())),
        }
Path(f"{out}/precision-{rank}.json").write_text(json.dumps(found))
