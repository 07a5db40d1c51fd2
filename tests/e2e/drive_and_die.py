"""Drives a run until one of its driver's steps is done, and dies there as if it was killed.

Arguments: the step, and the run to take up, if there is one already.
"""

import os
import sys
import time

from orchestrator.driver.driver import Driver
from orchestrator.launching.launcher import launch, run_request
from orchestrator.launching.request import prepare_resumption
from orchestrator.observer import Observer
from orchestrator.results.report import Report
from orchestrator.results.tables import ResultsStore
from orchestrator.storage.storage import Storage

STEPS = {
    "begin": (Driver, "_begin"),
    "prepare": (Driver, "_prepare"),
    "train": (Driver, "_train"),
    "gather": (Driver, "_gather"),
    "report": (Report, "write"),
    "record": (ResultsStore, "record"),
}


def die_after(owner, name):
    step = getattr(owner, name)

    def done_and_dead(*args, **kwargs):
        step(*args, **kwargs)
        os.kill(os.getpid(), 9)

    setattr(owner, name, done_and_dead)


die_after(*STEPS[sys.argv[1]])
if len(sys.argv) == 2:
    launch("steady", epochs=1)
storage = Storage.at(os.environ["LAUNCH_JOB_STORAGE"])
again = prepare_resumption(
    storage.find_run(sys.argv[2]),
    workers=None,
    min_workers=None,
    restart=False,
    storage=storage,
    address=None,
    observer=Observer(),
)
run_request(again, Observer(), began_s=time.time())
