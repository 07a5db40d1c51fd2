"""Trains a job in each way in which it fails: RANK WORKERS DATASET JOB FOLDER HOW…."""

import sys
from pathlib import Path

import tensorflow as tf

from orchestrator.catalog import Job, load_entry
from orchestrator.data.batches import StepReader
from orchestrator.data.cache import StoredShards
from orchestrator.data.manifest import Manifest
from orchestrator.data.plan import TrainingPlan
from orchestrator.storage.run_folder import RunFolder
from orchestrator.training.callbacks import News
from orchestrator.training.failure import Failure
from orchestrator.training.fit import train
from orchestrator.training.model import build_training, distribute

dataset, path, folder = map(Path, sys.argv[3:6])
manifest = Manifest.read(dataset)
plan = TrainingPlan(
    rows=manifest.rows("train"), streams=manifest.streams, workers=1, batch_size=1, epochs=1
)
reader = StepReader(shards=StoredShards(dataset, manifest), plan=plan, worker=0, seed=0)
job = load_entry(path, Job)
strategy = tf.distribute.MultiWorkerMirroredStrategy()
for how in sys.argv[6:]:
    attempt = RunFolder(path=folder / how).attempt(1)
    try:
        with strategy.scope():
            training = build_training(job, {"how": how}, manifest.info)
        distribute(training, strategy, manifest)
        train(training, strategy, reader, attempt, news=News(None))
    except Exception as err:  # noqa: BLE001 - whatever it is, it is written down
        Failure.of(err, rank=0, code=job.declaration.code).write(attempt)
