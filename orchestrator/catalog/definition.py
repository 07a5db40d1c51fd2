"""Job and Dataset: what a content file declares, by decorating one function.

The function's typed parameters are the options of the command line:

    @job(dataset="mnist", epochs=5)
    def lstm_mnist(units: Annotated[int, Ge(1), "Units of the LSTM."] = 64): ...

gives `launch-job lstm-mnist --units 128`. Types are int, float, str, bool and `Literal[...]`;
each parameter has a default, and numbers may have bounds, those of annotated-types. A parameter of
the type `DatasetInfo` is no option: it is given what is known of the dataset.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from orchestrator.catalog.bounds import Bounds
from orchestrator.catalog.info import DatasetInfo
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    import keras

    from orchestrator.data.source import Source, SourceContext

#: A job's function.
Build = TypeVar("Build", bound="Callable[..., keras.Model | Training]")

_SCALARS = (bool, int, float, str)


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One typed parameter of a job."""

    #: Name, as Python spells it.
    name: str
    #: One of bool, int, float and str.
    kind: type
    #: Value if none is given.
    default: bool | int | float | str
    #: One sentence for people.
    help: str = ""
    #: The only values it takes; empty: any value of its type.
    choices: tuple[str, ...] = ()
    #: What a number has to keep to.
    bounds: Bounds = field(default_factory=Bounds)

    def parse(self, value: object) -> bool | int | float | str:
        """Return the value in the parameter's type.

        Raises:
            UsageError: It can't be read as that type, isn't one of the choices or is out of bounds.
        """
        try:
            parsed = self._convert(value)
        except (TypeError, ValueError, OverflowError) as err:
            raise UsageError(
                f"Parameter {self.name!r} takes {self.kind.__name__}, not {value!r}."
            ) from err
        if self.choices and parsed not in self.choices:
            raise UsageError(
                f"Parameter {self.name!r} is one of {', '.join(self.choices)}, not {value!r}."
            )
        if not self.bounds.allow(parsed):
            raise UsageError(f"Parameter {self.name!r} is {self.bounds}, not {value!r}.")
        return parsed

    def _convert(self, value: object) -> bool | int | float | str:
        if self.kind is bool and not isinstance(value, bool):
            raise TypeError(value)
        if self.kind is not bool and isinstance(value, bool):
            raise TypeError(value)
        if self.kind is int and isinstance(value, float) and value != int(value):
            raise ValueError(value)
        converted: bool | int | float | str = self.kind(value)
        return converted


@dataclass(frozen=True, kw_only=True)
class Training:
    """What a job's function may return in place of a model: the model, and how to train it."""

    #: The model; it gets Adam, cross-entropy and accuracy if it isn't compiled.
    model: keras.Model
    #: Keras callbacks. Each worker runs its own, with the metrics of all workers; what they
    #: remember is kept in checkpoints.
    callbacks: Sequence[keras.callbacks.Callback] = ()
    #: What the loss is given to compare with: `integers`, the class of each row, `(rows,)`; or
    #: `one-hot`, `(rows, classes)` float32 with a 1 for the class.
    labels: Literal["integers", "one-hot"] = "integers"

    @property
    def one_hot(self) -> bool:
        """Whether labels are one-hot."""
        return self.labels == "one-hot"


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """Where an entry is declared: what a worker needs to load it again."""

    #: Name of the entry.
    name: str
    #: Module that declares it (not one that merely imports it).
    module: str
    #: File of that module.
    path: Path

    @property
    def code(self) -> Path:
        """What its author wrote: the folder of the package that it is in, or else its file."""
        depth = self.module.count(".") + (self.path.name == "__init__.py")
        return self.path.parents[depth - 1] if depth else self.path


@dataclass(frozen=True, kw_only=True)
class Job:
    """Something that can be trained: a function that builds a Keras model."""

    #: Name on the command line, such as `lstm-mnist`.
    name: str
    #: First line of the function's docstring, or of the module's.
    summary: str
    #: Builds the model, or a whole Training, from the parameters.
    build: Callable[..., keras.Model | Training]
    #: Name of the dataset it trains on unless told otherwise.
    dataset: str
    #: Passes over the training rows unless told otherwise.
    epochs: int
    #: Global batch size unless told otherwise.
    batch_size: int
    #: Its typed parameters.
    parameters: tuple[Parameter, ...]
    #: File that declares it.
    path: Path
    #: Shape that the numbers of a row are brought to, if a table is given in place of arrays.
    shape: tuple[int, ...] | None = None
    #: Name of the parameter of `build` that takes a DatasetInfo.
    info_parameter: str | None = None

    @property
    def declaration(self) -> Declaration:
        """Where it is declared."""
        return Declaration(name=self.name, module=self.build.__module__, path=self.path)

    def make(self, params: Mapping[str, Any], info: DatasetInfo) -> keras.Model | Training:
        """Build what the job trains, for a dataset."""
        known = {self.info_parameter: info} if self.info_parameter else {}
        return self.build(**params, **known)

    def parse(self, given: Mapping[str, object]) -> dict[str, bool | int | float | str]:
        """Return every parameter's value: the given ones checked, the others' defaults.

        Raises:
            UsageError: A name is unknown or a value is wrong.
        """
        known = {parameter.name for parameter in self.parameters}
        for name in given:
            if name not in known:
                raise UsageError(
                    f"Job {self.name} has no parameter {name!r}.",
                    hint=f"It has: {', '.join(sorted(known)) or 'none'}.",
                )
        return {
            parameter.name: parameter.parse(given.get(parameter.name, parameter.default))
            for parameter in self.parameters
        }


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Something that can be trained on: a function that finds rows."""

    #: Name on the command line, such as `mnist`.
    name: str
    #: First line of the function's docstring, or of the module's.
    summary: str
    #: Finds the rows. It may raise DataUnavailableError.
    load: Callable[[SourceContext], Source]
    #: Dataset that stands in where this one can't be had and the user did not name it.
    offline: str | None
    #: File that declares it.
    path: Path

    @property
    def declaration(self) -> Declaration:
        """Where it is declared."""
        return Declaration(name=self.name, module=self.load.__module__, path=self.path)


def job(
    *, dataset: str, epochs: int = 5, batch_size: int = 128, shape: tuple[int, ...] | None = None
) -> Callable[[Build], Build]:
    """Declare a job: the decorated function builds and may compile a Keras model.

    It returns the model, or a `Training` with callbacks beside it.

    Args:
        dataset: Name of the dataset it trains on by default.
        epochs: Default number of epochs.
        batch_size: Default global batch size.
        shape: Shape that the numbers of a row are brought to, in the order of their columns, if it
            is trained on a table, such as a CSV file. Without it, each column is an input.

    Raises:
        UsageError: A parameter of the function has no default, an unsupported type, or bounds that
            can't be checked or that its default doesn't keep to.
    """

    def declare(build: Build) -> Build:
        hints = _hints(build)
        build.__launch_job__ = Job(  # type: ignore[attr-defined]
            name=_command_name(build),
            summary=_summary(build),
            build=build,
            dataset=dataset,
            epochs=epochs,
            batch_size=batch_size,
            parameters=tuple(_parameter(build, p, hint) for p, hint in hints if not _is_info(hint)),
            path=Path(inspect.getfile(build)),
            shape=shape,
            info_parameter=next((p.name for p, hint in hints if _is_info(hint)), None),
        )
        return build

    return declare


def dataset(
    *, offline: str | None = None
) -> Callable[[Callable[[SourceContext], Source]], Callable[[SourceContext], Source]]:
    """Declare a dataset: the decorated function finds its rows.

    Args:
        offline: Name of a dataset that may stand in for it where there is no network.
    """

    def declare(load: Callable[[SourceContext], Source]) -> Callable[[SourceContext], Source]:
        load.__launch_job__ = Dataset(  # type: ignore[attr-defined]
            name=_command_name(load),
            summary=_summary(load),
            load=load,
            offline=offline,
            path=Path(inspect.getfile(load)),
        )
        return load

    return declare


def _command_name(function: Callable[..., object]) -> str:
    return function.__name__.replace("_", "-")


def _summary(function: Callable[..., object]) -> str:
    text = inspect.getdoc(function) or function.__globals__.get("__doc__") or ""
    return str(text).strip().split("\n", 1)[0]


def _is_info(hint: Any) -> bool:
    return hint is DatasetInfo


def _hints(build: Callable[..., object]) -> list[tuple[inspect.Parameter, Any]]:
    """Return the parameters of a function, each with its type."""
    # What it returns is left out: Keras may be imported for the type checker alone.
    named = {name: hint for name, hint in build.__annotations__.items() if name != "return"}
    hints = typing.get_type_hints(
        SimpleNamespace(__annotations__=named), build.__globals__, include_extras=True
    )
    signature = inspect.signature(build)
    return [(parameter, hints.get(name)) for name, parameter in signature.parameters.items()]


def _parameter(build: Callable[..., object], declared: inspect.Parameter, hint: Any) -> Parameter:
    notes: list[object] = []
    if typing.get_origin(hint) is Annotated:
        hint, *notes = typing.get_args(hint)
    choices: tuple[str, ...] = ()
    if typing.get_origin(hint) is Literal:
        choices, hint = typing.get_args(hint), str
    strings = all(isinstance(choice, str) for choice in choices)
    if not strings or hint not in _SCALARS or declared.default is inspect.Parameter.empty:
        raise UsageError(
            f"{_place(build)}: parameter {declared.name!r} of {build.__name__} needs a "
            "default and a type: int, float, str, bool or Literal of strings."
        )
    try:
        bounds = Bounds.of(notes)
        if bounds.given() and hint not in (int, float):
            raise ValueError("only int and float can have bounds")
    except ValueError as err:
        raise UsageError(
            f"{inspect.getfile(build)}: parameter {declared.name!r} of {build.__name__}: {err}."
        ) from err
    parameter = Parameter(
        name=declared.name,
        kind=hint,
        default=declared.default,
        help=next((note for note in notes if isinstance(note, str)), ""),
        choices=choices,
        bounds=bounds,
    )
    try:
        parameter.parse(declared.default)
    except UsageError as err:
        raise UsageError(f"{_place(build)}: {err.message}") from err
    return parameter


def _place(function: Callable[..., object]) -> str:
    line = inspect.unwrap(function).__code__.co_firstlineno
    return f"{inspect.getfile(function)}, line {line}"
