"""A dataset in several portions is prepared by Ray tasks, as this process would have done it."""

import json
import subprocess
import sys

import pytest

MANY = """
import numpy as np
from orchestrator import dataset
from orchestrator.data.source import Column, Source, Split


def read(first=0, spoiled=False):
    for at in range(first, 40_000, 1000):
        if spoiled and at >= 30_000:
            yield {"x": np.zeros(5, np.float64), "label": np.zeros(5, np.int64)}
        numbers = np.arange(at, min(at + 1000, 40_000))
        yield {"x": numbers.astype(np.float32), "label": numbers % 2}


@dataset()
def many(context):
    rows = Split(rows=40_000, read=read, read_from=read)
    few = Split(rows=1000, read=lambda: (next(read()) for _ in range(1)))
    return Source(
        features=(Column(name="x", dtype="float32"),),
        label=Column(name="label", dtype="int64"),
        classes=("even", "odd"),
        splits={"train": rows, "test": few},
        digest="many",
        origin="made up",
    )
"""

PREPARE = """
import dataclasses, functools, json
from pathlib import Path
from orchestrator.catalog import load_catalog
from orchestrator.cluster.embedded import EmbeddedRay
from orchestrator.data import portion
from orchestrator.data.prepare import prepare
from orchestrator.data.source import SourceContext, Split
from orchestrator.errors import UsageError
from orchestrator.storage.storage import Storage

portion._PORTION_BYTES = 100_000
here = Path.cwd()
source = load_catalog().datasets.get("many").load(SourceContext(data_dir=None, cache_dir=here))
told, found = [], []
with EmbeddedRay(workers=2, logs=here / "logs") as place:
    place.start()
    for each, spoiled in ((None, False), (place.each, False), (place.each, True)):
        storage = Storage.at(str(here / f"store-{len(found)}"))
        read = functools.partial(source.splits["train"].read, spoiled=spoiled)
        rows = Split(rows=40_000, read=read, read_from=read)
        asked = dataclasses.replace(source, splits={**source.splits, "train": rows})
        try:
            made = prepare(
                "many", asked, streams=3, storage=storage, each=each,
                progress=lambda *news: told.append(news),
            )
            found.append([s.sha256 for shards in made.manifest.splits.values() for s in shards])
        except UsageError as err:
            found.append(err.message)
            left = [str(p) for p in storage.path.rglob("*") if p.is_file()]
print(json.dumps({"found": found, "told": told, "left": left}))
"""


@pytest.fixture(scope="module")
def prepared(launch_job):
    (launch_job.folder / "cluster.yaml").write_text("cluster_name: test\n")
    (launch_job.folder / "datasets").mkdir()
    (launch_job.folder / "datasets" / "many.py").write_text(MANY)
    done = subprocess.run(
        [sys.executable, "-c", PREPARE],
        cwd=launch_job.folder,
        env=launch_job.environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_tasks_give_the_same_shards(prepared):
    alone, together, _ = prepared["found"]
    assert together == alone
    assert ["train", 40_000, 40_000] in prepared["told"]


def test_what_a_task_finds_wrong_is_told_with_its_host_and_nothing_is_left(prepared):
    message = prepared["found"][2]
    assert message.startswith("On ")
    assert "column 'x' has rows of float64" in message
    assert prepared["left"] == []
