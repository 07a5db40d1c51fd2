"""Tallies add up to the same, whoever counts."""

import json

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.records.tally import CALIBRATION_BINS, HARDEST, Mistake, Tally, merge


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
    assert losses == sorted((v[2] for v in values if v[0] != v[1]), reverse=True)[:HARDEST]
    assert Tally.from_dict(json.loads(json.dumps(alone.to_dict()))) == alone


@given(st.lists(st.floats(0, 1e6), max_size=30), st.randoms())
def test_streams_are_merged_in_their_order(losses, random):
    """Sums of floats depend on their order; the order of arrival must not show in the last bit."""
    tallies = {stream: tally(stream, 0, 1, loss) for stream, loss in enumerate(losses)}
    arrived = list(tallies)
    random.shuffle(arrived)
    assert merge({s: tallies[s] for s in arrived}, classes=3) == merge(tallies, classes=3)


def test_equally_hard_mistakes_are_told_apart_by_their_row():
    tallies = {row: tally(row, 0, 1, 1.0) for row in range(HARDEST + 10)}
    assert [m.row for m in merge(tallies, classes=3).hardest] == list(range(HARDEST))


def test_no_rows():
    assert merge({}, classes=3) == Tally.empty(3)
