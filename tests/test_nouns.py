"""The nouns at the bottom: states, specs, events, tallies, storage."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import UnavailableError, UsageError
from orchestrator.events import EventLog
from orchestrator.spec import RunSpec, new_run_id
from orchestrator.states import TRANSITIONS, RunState, check_transition
from orchestrator.storage import Storage, new_folder, write_atomic, write_json
from orchestrator.tally import CALIBRATION_BINS, Mistake, Tally, merge


@given(st.sampled_from(RunState), st.sampled_from(RunState))
def test_only_the_tables_transitions_are_allowed(current, following):
    if following in TRANSITIONS[current]:
        check_transition(current, following)
    else:
        with pytest.raises(ValueError, match="can't go from"):
            check_transition(current, following)


def test_run_begins_queued():
    check_transition(None, RunState.QUEUED)
    with pytest.raises(ValueError, match="can't go from"):
        check_transition(None, RunState.RUNNING)


def spec(**changes):
    values = {
        "run_id": "20260101-000000-job-abc",
        "job": "job",
        "params": {"units": 8},
        "dataset": "digits",
        "workers": 2,
        "epochs": 1,
        "batch_size": 16,
        "tags": ("a", "b"),
    }
    return RunSpec(**{**values, **changes})


def test_spec_comes_back():
    assert RunSpec.from_dict(spec().to_dict(), where="spec.json") == spec()


def test_unknown_key_of_a_spec_is_named():
    with pytest.raises(UsageError, match=r"spec\.json: unknown key 'colour'"):
        RunSpec.from_dict({**spec().to_dict(), "colour": "red"}, where="spec.json")


@pytest.mark.parametrize(
    "wrong", [{"workers": 0}, {"epochs": 0}, {"batch_size": -1}, {"seed": -1}, {"run_id": "../x"}]
)
def test_impossible_specs(wrong):
    with pytest.raises(UsageError):
        spec(**wrong)


def test_run_ids_sort_by_time_and_are_unique():
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    ids = {new_run_id("lstm-mnist", early) for _ in range(100)}
    assert len(ids) == 100
    assert max(ids) < new_run_id("a", late)


def test_events_come_back_and_a_cut_off_line_is_passed_over(tmp_path):
    log = EventLog(path=tmp_path / "events.jsonl")
    log.append("state", state="QUEUED")
    log.append("epoch", epoch=1, loss=0.5)
    with log.path.open("a") as file:
        file.write('{"time": "2026-01-01T00:00:00+00:00", "eve')
    assert [e.event for e in log.read()] == ["state", "epoch"]
    assert log.read()[1].details == {"epoch": 1, "loss": 0.5}
    assert log.state() is RunState.QUEUED


def test_event_log_refuses_a_state_that_cant_follow(tmp_path):
    log = EventLog(path=tmp_path / "events.jsonl")
    log.append("state", state="QUEUED")
    with pytest.raises(ValueError, match="can't go from"):
        log.append("state", state="SUCCEEDED")
    assert len(log.read()) == 1


def tally(row, label, predicted, loss):
    """Return the tally of one row."""
    line = [[0] * 3 for _ in range(3)]
    line[label][predicted] = 1
    one = tuple(int(b == row % CALIBRATION_BINS) for b in range(CALIBRATION_BINS))
    wrong = Mistake(row=row, label=label, predicted=predicted, confidence=0.5, loss=loss)
    return Tally(
        rows=1,
        loss_sum=loss,
        confusion=tuple(map(tuple, line)),
        bin_rows=one,
        bin_confidence=tuple(0.5 * n for n in one),
        bin_correct=one,
        hardest=(wrong,) if label != predicted else (),
    )


rows = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 64).map(lambda n: n / 8)),
    max_size=80,
)


@given(rows, st.integers(1, 5))
def test_tally_does_not_depend_on_who_counts(values, workers):
    tallies = {row: tally(row, *value) for row, value in enumerate(values)}
    alone = merge(tallies, classes=3)
    shares = [{r: t for r, t in tallies.items() if r % workers == w} for w in range(workers)]
    together = merge({r: t for share in reversed(shares) for r, t in share.items()}, classes=3)
    assert together == alone
    assert alone.rows == len(values) == sum(map(sum, alone.confusion))
    losses = [m.loss for m in alone.hardest]
    assert losses == sorted((v[2] for v in values if v[0] != v[1]), reverse=True)[:25]
    assert Tally.from_dict(alone.to_dict()) == alone


def test_failed_write_leaves_nothing(tmp_path):
    target = tmp_path / "file"
    target.mkdir()
    with pytest.raises(UnavailableError, match="file"):
        write_atomic(target, "text")
    assert list(tmp_path.iterdir()) == [target]


def test_new_folder_is_there_whole_or_not_at_all(tmp_path):
    def fail_halfway():
        with new_folder(tmp_path / "new") as folder:
            (folder / "half").write_text("x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    assert list(tmp_path.iterdir()) == []
    with new_folder(tmp_path / "new") as folder:
        (folder / "whole").write_text("x")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["whole"]


def test_second_comer_keeps_the_firsts_folder(tmp_path):
    with new_folder(tmp_path / "new") as second:
        with new_folder(tmp_path / "new") as first:
            (first / "first").write_text("x")
        (second / "second").write_text("x")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["first"]
    assert [p.name for p in tmp_path.iterdir()] == ["new"]


@pytest.fixture
def storage(tmp_path):
    """A storage with three runs."""
    storage = Storage.at(str(tmp_path))
    for run_id in ("20260101-a-111", "20260102-a-222", "20260102-b-333"):
        write_json(storage.run(run_id).spec, {})
    return storage


@pytest.mark.parametrize(
    ("text", "run_id"),
    [
        ("latest", "20260102-b-333"),
        ("20260101", "20260101-a-111"),
        ("222", "20260102-a-222"),
        ("20260102-b-333", "20260102-b-333"),
    ],
)
def test_runs_are_found_by_a_part_of_their_name(storage, text, run_id):
    assert storage.find_run(text).run_id == run_id


def test_ambiguous_and_unknown_runs(storage):
    with pytest.raises(UsageError, match="names 2 runs"):
        storage.find_run("20260102")
    with pytest.raises(UsageError, match="no run 'x'"):
        storage.find_run("x")


@pytest.mark.parametrize("name", ["../up", "a/b", "", "A", ".hidden", "a..b", "x" * 200, "a\n"])
def test_hostile_names_do_not_become_paths(storage, name):
    with pytest.raises(UsageError):
        storage.run(name)


def test_addresses_of_other_kinds_are_refused():
    with pytest.raises(UsageError, match="not supported"):
        Storage.at("s3://bucket/folder")
