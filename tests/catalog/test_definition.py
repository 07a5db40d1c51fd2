"""A job's typed parameters, and how they are read."""

from typing import Annotated, Literal

import pytest

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
