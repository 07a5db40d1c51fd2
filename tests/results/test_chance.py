"""Whether a difference is chance: McNemar's test, its correction, and bootstrapped intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from orchestrator.records.predictions import Predictions
from orchestrator.results.chance import PairTest, accuracy_interval, corrected, pair_test
from orchestrator.results.verdicts import letter, verdict


def predictions(right):
    """Return predictions of two classes, right where it is said."""
    right = np.asarray(right, bool)
    label = np.arange(len(right), dtype=np.int32) % 2
    return Predictions(
        row=np.arange(len(right)), label=label, predicted=np.where(right, label, 1 - label)
    )


def test_p_value_is_the_binomial_of_the_rows_that_differ():
    # 2 rows only the first has right, 9 only the second, 5 both.
    first = predictions([1] * 2 + [0] * 9 + [1] * 5)
    second = predictions([0] * 2 + [1] * 9 + [1] * 5)
    found = pair_test(first, second)
    assert (found.only_first, found.only_second, found.rows) == (2, 9, 16)
    assert found.p_value == pytest.approx(2 * binom.cdf(2, 11, 0.5))
    assert found.difference.value == pytest.approx(7 / 16)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_who_is_first_changes_the_sign_alone(rows):
    first, second = (predictions(side) for side in zip(*rows, strict=True))
    one, other = pair_test(first, second), pair_test(second, first)
    assert one.p_value == pytest.approx(other.p_value)
    assert one.difference.value == -other.difference.value
    assert one.difference.low <= one.difference.value + 1e-9
    assert one.difference.value <= one.difference.high + 1e-9


def test_models_that_are_right_on_the_same_rows_differ_by_chance_at_most():
    same = predictions([1, 0, 1, 1])
    assert pair_test(same, same).p_value == 1.0
    assert "same 4 rows right and wrong" in verdict(pair_test(same, same), first="A", second="B")


def test_interval_is_that_of_rows_drawn_again():
    random = np.random.default_rng(1)
    right = random.random(500) < 0.8
    drawn = [right[random.integers(0, 500, 500)].mean() for _ in range(4000)]
    found = accuracy_interval(int(right.sum()), 500)
    assert found.value == right.mean()
    assert (found.low, found.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.006)


def test_interval_of_a_difference_is_that_of_rows_drawn_again():
    random = np.random.default_rng(2)
    a, b = random.random(400) < 0.7, random.random(400) < 0.8
    rows = (random.integers(0, 400, 400) for _ in range(4000))
    drawn = [float(b[r].mean() - a[r].mean()) for r in rows]
    found = pair_test(predictions(a), predictions(b)).difference
    assert (found.low, found.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.01)


def a_test(p_value):
    interval = accuracy_interval(1, 2)
    return PairTest(rows=9, only_first=1, only_second=2, difference=interval, p_value=p_value)


def test_several_tests_are_corrected_as_holm_does():
    found = [test.p_value for test in corrected([a_test(p) for p in (0.01, 0.04, 0.03, 0.005)])]
    assert found == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert corrected([a_test(0.7), a_test(0.8)])[1].p_value == 1.0


@pytest.mark.parametrize(
    ("p_value", "told"),
    [
        (0.00001, "McNemar p < 0.0001: more than chance."),
        (0.05, "p = 0.0500: no more than chance may make."),
    ],
)
def test_verdict_says_whether_it_is_chance(p_value, told):
    assert told in verdict(a_test(p_value), first="A", second="B")


def test_letters_of_many_runs_are_distinct():
    assert [letter(index) for index in (0, 25, 26, 53)] == ["A", "Z", "A1", "B2"]
