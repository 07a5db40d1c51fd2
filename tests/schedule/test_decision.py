from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from sample_schedules import FIRST, make_schedule

from orchestrator.schedule.decision import GRACE, decide

HOUR = timedelta(hours=1)


def outcomes(due, *, now=None, active=(), outdated=False, **wanted):
    schedule = make_schedule(every_s=3600, **wanted)
    ticks = [FIRST + HOUR * number for number in due]
    return decide(schedule, ticks, now=now or ticks[-1], active=active, outdated=outdated)


def fates(*args, **wanted):
    return [outcome.outcome for outcome in outcomes(*args, **wanted)]


def test_a_tick_in_time_fires_with_the_run_that_follows_from_name_and_time():
    (outcome,) = outcomes([1])
    assert (outcome.outcome, outcome.why) == ("fired", "due")
    assert outcome.run_id == outcomes([1])[0].run_id
    assert outcome.run_id.startswith("20260101-010000-nightly-")
    assert outcome.run_id != outcomes([1], name="other")[0].run_id


def test_a_run_that_goes_on():
    assert fates([1], active=["a"], overlap="skip") == ["skipped"]
    assert fates([1], active=["a"], overlap="allow") == ["fired"]
    assert outcomes([1], active=["a", "b"], overlap="queue")[0].after == ("a", "b")
    assert outcomes([1], active=["a"], overlap="replace")[0].after == ("a",)
    assert fates([1], active=["a", "b"], overlap="replace") == ["skipped"]


def test_a_queue_has_an_end():
    waiting = [f"run-{number}" for number in range(3)]
    assert fates([1], active=waiting, overlap="queue", catchup_limit=3) == ["fired"]
    assert fates([1], active=waiting, overlap="queue", catchup_limit=2) == ["skipped"]


def test_ticks_that_nobody_fired_in_time():
    late = {"now": FIRST + HOUR * 5.5, "overlap": "allow"}
    assert fates([3, 4, 5], misfire="skip", **late) == ["missed"] * 3
    assert fates([3, 4, 5], misfire="latest", **late) == ["missed", "missed", "fired"]
    assert fates([3, 4, 5], misfire="all", **late) == ["fired"] * 3
    assert fates([3, 4, 5], misfire="all", catchup_limit=2, **late) == ["missed", "fired", "fired"]


def test_of_several_ticks_the_last_may_still_be_in_time():
    now = FIRST + HOUR * 5 + GRACE
    assert fates([4, 5], misfire="skip", now=now, overlap="allow") == ["missed", "fired"]
    assert fates([4, 5], misfire="latest", now=now, overlap="allow") == ["missed", "fired"]


def test_of_too_many_ticks_none_of_the_first_is_made_up_for():
    assert fates([1, 2], outdated=True, misfire="all") == ["missed", "missed"]


def test_a_pause_is_the_reason():
    schedule = make_schedule(paused_at=FIRST)
    (outcome,) = decide(schedule, [FIRST + HOUR], now=FIRST + HOUR, active=[])
    assert outcome.outcome == "skipped"
    assert outcome.why.startswith("paused since 2026-01-01")


@given(
    due=st.sets(st.integers(1, 200), min_size=1, max_size=30).map(sorted),
    late=st.integers(0, 10**6),
    active=st.lists(st.sampled_from("abcdef"), unique=True, max_size=6),
    overlap=st.sampled_from(["skip", "queue", "replace", "allow"]),
    misfire=st.sampled_from(["skip", "latest", "all"]),
    limit=st.integers(1, 5),
)
def test_whatever_the_policy_each_tick_has_one_outcome_and_a_reason(
    due, late, active, overlap, misfire, limit
):
    now = FIRST + HOUR * due[-1] + timedelta(seconds=late)
    found = outcomes(
        due, now=now, active=active, overlap=overlap, misfire=misfire, catchup_limit=limit
    )
    assert [outcome.tick for outcome in found] == [FIRST + HOUR * number for number in due]
    assert all(outcome.why for outcome in found)
    assert all((outcome.run_id is not None) == (outcome.outcome == "fired") for outcome in found)
    fired = [outcome.run_id for outcome in found if outcome.run_id]
    assert len(set(fired)) == len(fired) <= max(limit, 1)
    if overlap == "skip":
        assert len(fired) <= (0 if active else 1)
    # A run waits only for runs that were there before it.
    before = list(active)
    for outcome in found:
        assert set(outcome.after) <= set(before)
        before += [outcome.run_id] if outcome.run_id else []
