"""The figures beside the bar."""

import pytest

from orchestrator.cli.progress import Pace
from orchestrator.training.mailbox import Update


def update(time_s, step, kind="step", epoch=0):
    return Update(kind=kind, time_s=time_s, epoch=epoch, step=step)


def test_pace_is_rows_a_second():
    pace = Pace()
    assert pace.rows_per_s(update(10.0, 8), rows=1000, steps=10) is None
    assert pace.rows_per_s(update(11.0, 9), rows=1000, steps=10) == pytest.approx(100)
    assert pace.rows_per_s(update(12.0, 1, epoch=1), rows=1000, steps=10) == pytest.approx(130)


def test_news_without_progress_is_no_pace_of_zero():
    """The first step is told twice, a moment apart: the time left must not become infinite."""
    pace = Pace()
    assert pace.rows_per_s(update(10.0, 8, "first_step"), rows=1000, steps=10) is None
    assert pace.rows_per_s(update(10.1, 8), rows=1000, steps=10) is None
    assert pace.rows_per_s(update(11.0, 9), rows=1000, steps=10) == pytest.approx(100)
