"""Trains every model of the parity test in one process with nothing but Keras."""

import sys
from pathlib import Path

import numpy as np
import parity_models

from orchestrator.data.batches import StepReader
from orchestrator.data.manifest import Manifest
from orchestrator.data.plan import TrainingPlan

dataset, out = Path(sys.argv[3]), sys.argv[4]
manifest = Manifest.read(dataset)
plan = TrainingPlan(
    rows=manifest.rows("train"),
    streams=manifest.streams,
    workers=1,
    batch_size=parity_models.BATCH,
    epochs=parity_models.EPOCHS,
)
reader = StepReader(folder=dataset, manifest=manifest, plan=plan, worker=0, seed=7)
batches = [(rows["x"].copy(), rows["label"].copy()) for rows in reader.steps()]
results = {}
for name, build in parity_models.MODELS.items():
    training = build()
    model = training.model
    for index, weight in enumerate(model.get_weights()):
        results[f"{name}.first.{index}"] = weight
    history = model.fit(
        ((x, np.eye(3, dtype=np.float32)[y] if training.one_hot else y) for x, y in batches),
        epochs=plan.epochs,
        steps_per_epoch=plan.steps_per_epoch,
        verbose=0,
    ).history
    for index, weight in enumerate(model.get_weights()):
        results[f"{name}.{index}"] = weight
    results[f"{name}.loss"] = np.array(history["loss"])
    results[f"{name}.accuracy"] = np.array(history["accuracy"])
np.savez(f"{out}/reference.npz", **results)
