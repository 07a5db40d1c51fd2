"""Trains models of the resumption test, each to its end or from a checkpoint: `model/whole` writes
the checkpoints that `model/<checkpoint>` takes up."""

import sys
from pathlib import Path

import numpy as np
import resume_models
import tensorflow as tf

from orchestrator.data.batches import StepReader
from orchestrator.data.cache import StoredShards
from orchestrator.data.manifest import Manifest
from orchestrator.data.plan import TrainingPlan
from orchestrator.storage.run_folder import RunFolder
from orchestrator.training.callbacks import News
from orchestrator.training.checkpoint import CheckpointStore
from orchestrator.training.fit import BEGINNING, train
from orchestrator.training.model import distribute

rank, workers = int(sys.argv[1]), int(sys.argv[2])
dataset, out = Path(sys.argv[3]), Path(sys.argv[4])
cases = sys.argv[5:]
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
tf.config.experimental.enable_op_determinism()
strategy = tf.distribute.MultiWorkerMirroredStrategy()
manifest = Manifest.read(dataset)
plan = TrainingPlan(
    rows=manifest.rows("train"),
    streams=manifest.streams,
    workers=workers,
    batch_size=resume_models.BATCH,
    epochs=resume_models.EPOCHS,
)
reader = StepReader(shards=StoredShards(dataset, manifest), plan=plan, worker=rank, seed=7)
results = {}
for case in cases:
    name, cut = case.split("/")
    folder, start = RunFolder(path=out / f"run-{name}"), BEGINNING
    if cut != "whole":
        start = CheckpointStore(folder=folder.checkpoints).load(cut)
        folder = RunFolder(path=out / f"run-{name}-{cut}-{workers}")
    with strategy.scope():
        training = resume_models.MODELS[name]()
    distribute(training, strategy, manifest)
    trained = train(
        training,
        strategy,
        reader,
        folder.attempt(1),
        news=News(None),
        start=start,
        checkpoint_every=resume_models.EVERY,
        keep=100,
    )
    for index, weight in enumerate(training.model.get_weights()):
        results[f"{case}/{index}"] = weight
    for metric in ("loss", "accuracy"):
        values = [epoch[metric] for epoch in trained.history]
        results[f"{case}/{metric}"] = np.array(values)
    results[f"{case}/rate"] = training.model.optimizer.learning_rate.numpy()
    results[f"{case}/steps"] = np.array(trained.steps)
np.savez(out / f"resumed-{workers}-{rank}.npz", **results)
