"""What all benchmarks share: taking turns, judging, keeping, showing."""

from harness.arguments import options
from harness.findings import Comparison, Question, Target, at_least, at_most
from harness.processes import (
    LAUNCH_JOB,
    PEERS,
    ROOT,
    Command,
    find_mnist,
    run_json,
    run_text,
    seconds,
)
from harness.tables import report, show
from harness.turns import take_turns

__all__ = [
    "LAUNCH_JOB",
    "PEERS",
    "ROOT",
    "Command",
    "Comparison",
    "Question",
    "Target",
    "at_least",
    "at_most",
    "find_mnist",
    "options",
    "report",
    "run_json",
    "run_text",
    "seconds",
    "show",
    "take_turns",
]
