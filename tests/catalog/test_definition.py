"""A job's typed parameters, and how they are read."""

from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Gt, Interval, Le, Len, Lt, MultipleOf

from orchestrator import job
from orchestrator.catalog import Job, load_entry
from orchestrator.errors import UsageError


@job(dataset="digits", epochs=3, batch_size=32)
def my_job(
    units: Annotated[int, "How many."] = 8,
    rate: float = 0.5,
    kind: Literal["a", "b"] = "a",
    deep: bool = False,
):
    """Does something.

    And more.
    """


MINE = my_job.__launch_job__


def test_declaration():
    assert (MINE.name, MINE.summary, MINE.dataset) == ("my-job", "Does something.", "digits")
    assert (MINE.epochs, MINE.batch_size) == (3, 32)
    units, rate, kind, deep = MINE.parameters
    assert (units.kind, units.default, units.help) == (int, 8, "How many.")
    assert (rate.kind, kind.choices, deep.kind) == (float, ("a", "b"), bool)


def test_values_are_checked_and_defaults_filled_in():
    assert MINE.parse({"units": "16", "rate": 1}) == {
        "units": 16,
        "rate": 1.0,
        "kind": "a",
        "deep": False,
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"unit": 1}, "no parameter 'unit'"),
        ({"units": "many"}, "takes int"),
        ({"units": 1.5}, "takes int"),
        ({"kind": "c"}, "one of a, b"),
        ({"deep": "yes"}, "takes bool"),
    ],
)
def test_wrong_values(given, message):
    with pytest.raises(UsageError, match=message):
        MINE.parse(given)


def test_parameter_without_a_default_is_refused():
    def no_default(units: int):
        pass

    with pytest.raises(UsageError, match="'units' of no_default needs a default"):
        job(dataset="digits")(no_default)


def test_parameter_of_another_type_is_refused():
    def odd(units: list = ()):
        pass

    with pytest.raises(UsageError, match="needs a default and a type"):
        job(dataset="digits")(odd)


@pytest.mark.parametrize(
    "wrong",
    [{"units": True}, {"units": float("inf")}, {"rate": None}, {"rate": True}, {"deep": 1}],
)
def test_values_of_another_type_are_refused(wrong):
    with pytest.raises(UsageError, match="takes"):
        MINE.parse(wrong)


@pytest.mark.parametrize("default", ["c", 3])
def test_default_that_is_no_choice_is_refused_at_once(default):
    def odd(kind: Literal["a", "b"] = default):
        pass

    with pytest.raises(UsageError, match=r"py, line \d+: Parameter 'kind' is one of a, b"):
        job(dataset="digits")(odd)


def test_choices_that_are_no_strings_are_refused():
    def odd(size: Literal[1, 2] = 1):
        pass

    with pytest.raises(UsageError, match="Literal of strings"):
        job(dataset="digits")(odd)


def test_return_type_may_be_imported_for_the_type_checker_alone(tmp_path):
    file = tmp_path / "annotated.py"
    file.write_text(
        "from __future__ import annotations\n"
        "from typing import TYPE_CHECKING\n"
        "from orchestrator import job\n"
        "if TYPE_CHECKING:\n"
        "    import keras\n\n"
        '@job(dataset="digits")\n'
        "def annotated(units: int = 8) -> keras.Model:\n"
        "    pass\n"
    )
    (parameter,) = load_entry(file, Job).parameters
    assert (parameter.name, parameter.kind) == ("units", int)


@job(dataset="digits")
def bounded(
    units: Annotated[int, Ge(1), Le(4096), "How many."] = 8,
    rate: Annotated[float, Gt(0)] = 0.5,
    share: Annotated[float, Interval(ge=0, lt=1)] = 0,
):
    """Has bounds."""


BOUNDED = bounded.__launch_job__


def test_bounds_are_read_from_the_type():
    units, rate, share = BOUNDED.parameters
    assert (units.help, units.bounds.given()) == ("How many.", {"ge": 1, "le": 4096})
    assert rate.bounds.given() == {"gt": 0}
    assert share.bounds.given() == {"ge": 0, "lt": 1}
    assert all(parameter.bounds.given() == {} for parameter in MINE.parameters)


@pytest.mark.parametrize(
    "given", [{"units": 1}, {"units": "4096"}, {"rate": 5e-324}, {"share": 0}, {"share": 0.999}]
)
def test_values_within_bounds_are_taken(given):
    ((name, value),) = given.items()
    assert BOUNDED.parse(given)[name] == float(value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"units": 0}, "'units' is at least 1 and at most 4096, not 0"),
        ({"units": "4097"}, "'units' is at least 1 and at most 4096, not '4097'"),
        ({"rate": 0}, "'rate' is more than 0, not 0"),
        ({"rate": "nan"}, "'rate' is more than 0, not 'nan'"),
        ({"share": -0.1}, "'share' is at least 0 and less than 1, not -0.1"),
        ({"share": 1}, "'share' is at least 0 and less than 1, not 1"),
    ],
)
def test_values_out_of_bounds_are_refused(given, message):
    with pytest.raises(UsageError) as caught:
        BOUNDED.parse(given)
    assert caught.value.message == f"Parameter {message}."


@pytest.mark.parametrize(
    ("hint", "default", "message"),
    [
        (
            Annotated[int, Ge(1)],
            0,
            r"test_definition\.py, line \d+: Parameter 'size' is at least 1, not 0",
        ),
        (Annotated[int, Ge(1), Gt(0)], 1, "'size' of odd: one side has two bounds"),
        (Annotated[int, Ge(1), Interval(ge=2)], 2, "'size' of odd: one side has two bounds"),
        (Annotated[int, Ge("1")], 1, "'size' of odd: '1' is no bound of a number"),
        (Annotated[int, Lt(True)], 0, "'size' of odd: True is no bound of a number"),
        (Annotated[str, Ge(1)], "1", "'size' of odd: only int and float can have bounds"),
        (Annotated[bool, Ge(1)], True, "'size' of odd: only int and float can have bounds"),
        (Annotated[int, MultipleOf(8)], 8, r"'size' of odd: MultipleOf\(.*8\) can't be checked"),
        (Annotated[str, Len(1)], "a", r"'size' of odd: MinLen\(.*1\) can't be checked"),
    ],
)
def test_bounds_that_can_not_hold_are_refused_at_once(hint, default, message):
    def odd(size=default):
        pass

    odd.__annotations__["size"] = hint
    with pytest.raises(UsageError, match=message):
        job(dataset="digits")(odd)


def test_other_notes_of_a_type_are_left_alone():
    def noted(size: Annotated[int, {"unit": "rows"}, "How large.", ["more"]] = 1):
        pass

    (parameter,) = job(dataset="digits")(noted).__launch_job__.parameters
    assert (parameter.help, parameter.bounds.given()) == ("How large.", {})
