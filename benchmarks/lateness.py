"""Lateness: seconds from a tick to its record, with the loop as a process.

Ten schedules of every second, so that ten ticks are due at once and go into one record. Their runs
name a file that is not there, so that their processes end soon; they are started all the same. A
round is 300 ticks, and gives the parts of its distribution.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile

from harness import LAUNCH_JOB, Command, Question, options, report, take_turns

SCHEDULES, TICKS = 10, 300

QUESTION = Question(
    name="lateness",
    title="How late do ticks fire?",
    unit="seconds",
    comparisons=(),
    method=__doc__,
)


def main() -> int:
    rounds = options(__doc__, rounds=5).parse_args().rounds
    found = take_turns({"ticks": late}, rounds)["ticks"]
    parts = {
        "half of the ticks, at most": [cuts[49] for cuts, _ in found],
        "nine of ten": [cuts[89] for cuts, _ in found],
        "99 of 100": [cuts[98] for cuts, _ in found],
        "all": [most for _, most in found],
    }
    return report(QUESTION, parts)


def late() -> tuple[list[float], float]:
    """Have a loop fire; return the percentiles of its lateness in seconds, and the most."""
    with tempfile.TemporaryDirectory() as storage:
        for number in range(SCHEDULES):
            add = ["schedule", "add", f"s{number}", "lstm-mnist", "--every", "1s"]
            wrong = ["--dataset", "gone.csv", "--retries", "0", "--overlap", "skip"]
            command: Command = [LAUNCH_JOB, *add, *wrong, "--storage", storage]
            subprocess.run(command, check=True, capture_output=True)
        loop: Command = [LAUNCH_JOB, "schedule", "start", "--storage", storage]
        with subprocess.Popen(loop, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            events = (json.loads(line) for line in process.stdout)
            ticks = (event["late_s"] for event in events if in_time(event))
            found = [late_s for _, late_s in zip(range(TICKS), ticks, strict=False)]
            process.terminate()
    return statistics.quantiles(found, n=100), max(found)


def in_time(event: dict[str, object]) -> bool:
    """Return whether an event is a tick that the loop was there for."""
    return event["event"] == "tick" and event["outcome"] != "missed"


if __name__ == "__main__":
    sys.exit(main())
