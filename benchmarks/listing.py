"""Listing: `launch-job ls` in a storage of 1,000 runs against `ray --help`, whole processes.

Each run has the files of a finished one: its request, a log with five epochs, and its report. `ls`
shows the newest 20; with `-a` it reads all of them.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from harness import (
    LAUNCH_JOB,
    ROOT,
    Comparison,
    Question,
    at_most,
    options,
    report,
    seconds,
    take_turns,
)

sys.path.insert(0, str(ROOT))  # so that it also runs where launch-job isn't installed

from orchestrator.records.events import Event
from orchestrator.results.report import Report, request_fields
from orchestrator.spec import RunSpec
from orchestrator.states import RunState
from orchestrator.storage.atomic import write_json
from orchestrator.storage.storage import Storage

RUNS = 1000
OURS, ALL, RAY = "launch-job ls", "launch-job ls -a", "ray --help"

QUESTION = Question(
    name="listing",
    title="How long does it take to list runs, of 1,000?",
    unit="seconds",
    comparisons=(
        Comparison(ours=OURS, peer=RAY, target=at_most(0.6)),
        Comparison(ours=ALL, peer=RAY),
    ),
    method=__doc__,
)


def main() -> int:
    rounds = options(__doc__, rounds=15).parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        for number in range(RUNS):
            make_run(Storage.at(folder), number)
        contestants = {
            OURS: lambda: seconds([LAUNCH_JOB, "ls", "--storage", folder]),
            ALL: lambda: seconds([LAUNCH_JOB, "ls", "-a", "--storage", folder]),
            RAY: lambda: seconds([Path(sys.executable).with_name("ray"), "--help"]),
        }
        return report(QUESTION, take_turns(contestants, rounds))


def make_run(storage: Storage, number: int) -> None:
    """Write the files of a run that was asked for `number` minutes after the first."""
    asked = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number)
    spec = RunSpec(
        run_id=f"{asked:%Y%m%d-%H%M%S}-lstm-mnist-{number:06x}",
        job="lstm-mnist",
        params={"units": 64},
        dataset="mnist",
        workers=2,
        epochs=5,
        batch_size=128,
    )
    run = storage.run(spec.run_id)
    write_json(run.spec, {"spec": spec.to_dict(), "provenance": {}})
    history = [
        {"epoch": n, "accuracy": 0.9, "loss": 0.3, "seconds": 2.5, "rows_per_s": 24e3}
        for n in range(1, 6)
    ]
    said: list[tuple[str, dict[str, Any]]] = [
        ("state", {"state": s.value}) for s in list(RunState)[:3]
    ]
    said += [("epoch", {"step": 469, **entry}) for entry in history]
    said += [("state", {"state": RunState.SUCCEEDED.value})]
    lines = [Event(time=asked, event=event, details=details).to_line() for event, details in said]
    run.events.write_text("".join(lines))
    Report(
        **request_fields(spec),
        dataset_fingerprint="",
        device="cpu",
        state=RunState.SUCCEEDED,
        accuracy=0.97,
        history=tuple(history),
    ).write(run)


if __name__ == "__main__":
    sys.exit(main())
