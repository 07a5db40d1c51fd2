"""The time line as people see it."""

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli.timeline import bar
from orchestrator.records.timeline import TimeLine

PHASES = st.lists(st.tuples(st.floats(0, 1e5), st.floats(0, 1e5)), min_size=1, max_size=8)


def line_of(*spans):
    return TimeLine.from_list(
        {"phase": str(i), "after_s": after, "seconds": seconds}
        for i, (after, seconds) in enumerate(spans)
    )


def test_a_bar_lies_where_its_phase_does():
    line = line_of((0.0, 5.0), (5.0, 5.0))
    assert [bar(phase, line, 10) for phase in line.phases] == ["█████", "·····█████"]


@given(PHASES, st.integers(8, 60))
def test_every_phase_shows_and_none_leaves_the_field(spans, width):
    line = line_of(*spans)
    for phase in line.phases:
        drawn = bar(phase, line, width)
        assert "█" in drawn
        assert len(drawn) <= width
