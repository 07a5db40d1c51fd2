"""Trains every model of the parity test in one process with nothing but Keras."""

import sys
from pathlib import Path

import numpy as np
import parity_models
import tensorflow as tf

from orchestrator.data.batches import StepReader
from orchestrator.data.cache import StoredShards
from orchestrator.data.manifest import Manifest
from orchestrator.data.plan import TrainingPlan
from orchestrator.training.feed import features_of

folder, out = Path(sys.argv[3]), sys.argv[4]
results = {}


def train_all(dataset, models):
    manifest = Manifest.read(dataset)
    plan = TrainingPlan(
        rows=manifest.rows("train"),
        streams=manifest.streams,
        workers=1,
        batch_size=parity_models.BATCH,
        epochs=parity_models.EPOCHS,
    )
    reader = StepReader(shards=StoredShards(dataset, manifest), plan=plan, worker=0, seed=7)
    steps = [{name: tf.constant(rows[name]) for name in rows} for rows in reader.steps()]
    batches = [(features_of(manifest, rows), rows["label"].numpy()) for rows in steps]
    for name, build in models.items():
        training = build(manifest.info)
        model = training.model
        if not model.built:  # A class of its own has no weights before it has seen a batch.
            model(batches[0][0])
        for index, weight in enumerate(model.get_weights()):
            results[f"{name}.first.{index}"] = weight
        history = model.fit(
            ((x, np.eye(3, dtype=np.float32)[y] if training.one_hot else y) for x, y in batches),
            epochs=plan.epochs,
            steps_per_epoch=plan.steps_per_epoch,
            callbacks=list(training.callbacks),
            verbose=0,
        ).history
        for index, weight in enumerate(model.get_weights()):
            results[f"{name}.{index}"] = weight
        results[f"{name}.loss"] = np.array(history["loss"])
        results[f"{name}.accuracy"] = np.array(history["accuracy"])


train_all(folder / "arrays", parity_models.MODELS)
train_all(folder / "table", parity_models.TABLE_MODELS)
np.savez(f"{out}/reference.npz", **results)
