"""The states of a run, and the one table of what may follow what."""

from __future__ import annotations

from enum import StrEnum


class RunState(StrEnum):
    """Where a run stands. LOST: its driver is gone and left no last word."""

    QUEUED = "QUEUED"
    PREPARING = "PREPARING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    STOPPED = "STOPPED"
    LOST = "LOST"

    @property
    def finished(self) -> bool:
        """Whether the run has ended (it may still be resumed, if it did not succeed)."""
        return self in _FINISHED


_FINISHED = {RunState.SUCCEEDED, RunState.FAILED, RunState.STOPPED, RunState.LOST}
_ENDINGS = {RunState.FAILED, RunState.STOPPED, RunState.LOST}

#: What may follow each state. A run that ended without success may be queued again (resumed).
TRANSITIONS: dict[RunState, frozenset[RunState]] = {
    RunState.QUEUED: frozenset({RunState.PREPARING, *_ENDINGS}),
    RunState.PREPARING: frozenset({RunState.RUNNING, *_ENDINGS}),
    RunState.RUNNING: frozenset({RunState.SUCCEEDED, *_ENDINGS}),
    RunState.SUCCEEDED: frozenset(),
    RunState.FAILED: frozenset({RunState.QUEUED}),
    RunState.STOPPED: frozenset({RunState.QUEUED}),
    RunState.LOST: frozenset({RunState.QUEUED}),
}


def check_transition(current: RunState | None, following: RunState) -> None:
    """Refuse a state that can't follow the current one.

    Args:
        current: The state the run is in; None for a run that has just been made.
        following: The state it is to enter.

    Raises:
        ValueError: The table does not allow it.
    """
    allowed = frozenset({RunState.QUEUED}) if current is None else TRANSITIONS[current]
    if following not in allowed:
        raise ValueError(f"a run can't go from {current} to {following}")
