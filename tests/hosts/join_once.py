"""Joins a cluster, says what room there is, and leaves; run on a host by its tests."""

import json
import sys
from pathlib import Path

from orchestrator.cluster.joined import JoinedRay
from orchestrator.cluster.metadata import RUN_KEY
from orchestrator.errors import LaunchJobError
from orchestrator.storage.storage import Storage

address, storage, run_id, *files = sys.argv[1:]
try:
    place = JoinedRay(
        address,
        storage=Storage.at(storage),
        metadata={RUN_KEY: run_id},
        files=[Path(f) for f in files],
    )
    with place as joined:
        room = joined.room("cpu")
        answer = {"free": room.free, "total": room.total, "holders": room.holders}
except LaunchJobError as err:
    answer = {"error": err.message, "hint": err.hint, "code": err.exit_code}
print(json.dumps(answer))
