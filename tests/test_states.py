"""The one table of what may follow what."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.states import TRANSITIONS, RunState, check_transition


@given(st.sampled_from(RunState), st.sampled_from(RunState))
def test_only_the_tables_transitions_are_allowed(current, following):
    if following in TRANSITIONS[current]:
        check_transition(current, following)
    else:
        with pytest.raises(ValueError, match="can't go from"):
            check_transition(current, following)


@pytest.mark.parametrize("state", [s for s in RunState if s is not RunState.QUEUED])
def test_run_begins_queued(state):
    check_transition(None, RunState.QUEUED)
    with pytest.raises(ValueError, match="can't go from"):
        check_transition(None, state)


def test_every_state_can_be_reached_and_all_but_success_left():
    assert set(TRANSITIONS) == set(RunState)
    assert {RunState.QUEUED}.union(*TRANSITIONS.values()) == set(RunState)
    assert [state for state in RunState if not TRANSITIONS[state]] == [RunState.SUCCEEDED]


def test_what_ended_can_only_be_queued_again():
    for state in RunState:
        if state.finished:
            assert TRANSITIONS[state] <= {RunState.QUEUED}
