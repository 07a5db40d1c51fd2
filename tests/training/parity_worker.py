"""Trains every model of the parity test on one worker, through the product's own `train`."""

import sys
from pathlib import Path

import numpy as np
import parity_models
import tensorflow as tf

from orchestrator.data.batches import StepReader
from orchestrator.data.cache import StoredShards
from orchestrator.data.manifest import Manifest
from orchestrator.data.plan import TrainingPlan
from orchestrator.storage.run_folder import RunFolder
from orchestrator.training.callbacks import News
from orchestrator.training.fit import train
from orchestrator.training.model import distribute
from orchestrator.training.neighbours import Neighbours
from orchestrator.training.shared_sum import SharedSum
from orchestrator.training.single_flight import SingleFlight

rank, workers, folder, out = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
strategy = tf.distribute.MultiWorkerMirroredStrategy()
results = {}


def train_all(dataset, models):
    manifest = Manifest.read(dataset)
    plan = TrainingPlan(
        rows=manifest.rows("train"),
        streams=manifest.streams,
        workers=workers,
        batch_size=parity_models.BATCH,
        epochs=parity_models.EPOCHS,
    )
    reader = StepReader(shards=StoredShards(dataset, manifest), plan=plan, worker=rank, seed=7)
    for name, build in models.items():
        with strategy.scope():
            training = build(manifest.info)
        distribute(training, strategy, manifest)
        attempt = RunFolder(path=Path(out) / f"run-{name}-{workers}").attempt(1)
        shared = SharedSum(Path(out) / f"shared-{name}-{workers}", rank=rank, workers=workers)
        neighbours = Neighbours(
            SingleFlight(Path(out) / f"flight-{name}-{workers}"),
            # Three do as workers of several machines.
            shared_sum=shared if workers in (2, 4) else None,
        )
        trained = train(training, strategy, reader, attempt, news=News(None), neighbours=neighbours)
        for index, weight in enumerate(training.model.get_weights()):
            results[f"{name}.{index}"] = weight
        results[f"{name}.iterations"] = np.array(trained.steps)
        results[f"{name}.loss"] = np.array([epoch["loss"] for epoch in trained.history])
        results[f"{name}.accuracy"] = np.array([epoch["accuracy"] for epoch in trained.history])


train_all(folder / "arrays", parity_models.MODELS)
train_all(folder / "table", parity_models.TABLE_MODELS)
np.savez(f"{out}/weights-{workers}-{rank}.npz", **results)
