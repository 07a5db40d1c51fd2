"""Evaluates a saved model as so many workers would, and prints the merged tally."""

import json
import sys
from pathlib import Path

import keras

from orchestrator.data.batches import evaluation_batches
from orchestrator.data.cache import StoredShards
from orchestrator.data.manifest import ROW_COLUMN, Manifest
from orchestrator.records.tally import merge
from orchestrator.training.evaluation import evaluate
from orchestrator.training.feed import features_of

model, dataset = keras.models.load_model(sys.argv[1]), Path(sys.argv[2])
manifest = Manifest.read(dataset)
for workers in map(int, sys.argv[3:]):
    tallies = {}
    for worker in range(workers):
        batches = (
            (stream, features_of(manifest, rows), rows["label"], rows[ROW_COLUMN])
            for stream, rows in evaluation_batches(
                StoredShards(dataset, manifest), worker=worker, workers=workers
            )
        )
        counted, _ = evaluate(model, batches, len(manifest.classes))
        tallies |= counted
    print(json.dumps(merge(tallies, classes=len(manifest.classes)).to_dict()))
