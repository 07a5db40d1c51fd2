"""What comparisons come to, in words: for the terminal and for the page."""

from __future__ import annotations

from orchestrator.results.chance import PairTest


def letter(index: int) -> str:
    """Return what a run is called where several are shown: A, B, … Z, A1, B1 and so on."""
    round_, place = divmod(index, 26)
    return f"{chr(ord('A') + place)}{round_ or ''}"


def verdict(test: PairTest | str, *, first: str, second: str) -> str:
    """Return what the test of a pair says.

    Args:
        test: The test, or why there is none.
        first: What the first run is called.
        second: What the second is called.
    """
    if isinstance(test, str):
        return f"{second} against {first}: no test can be made, since {test}."
    if not test.only_first + test.only_second:
        return f"{second} against {first}: both have the same {test.rows:,} rows right and wrong."
    difference = test.difference
    found = "more than chance" if test.significant else "no more than chance may make"
    return (
        f"{second} against {first}: {_points(difference.value)} points of accuracy "
        f"(95%: {_points(difference.low)} to {_points(difference.high)}), "
        f"McNemar p {_p(test.p_value)}: {found}. "
        f"Of {test.rows:,} rows, {test.only_second:,} only {second} has right, "
        f"{test.only_first:,} only {first}."
    )


def _points(part: float) -> str:
    return f"{100 * part:+.2f}".replace("-", "−")


def _p(value: float) -> str:
    return "< 0.0001" if value < 0.0001 else f"= {value:.4f}"
