"""schedules.yaml: the schedules of a project, and what applying it would change.

    schedules:
      nightly:
        job: lstm-mnist
        cron: "0 2 * * *"
        timezone: Europe/Berlin
        workers: 4

The keys of a schedule, but for `job`, are the options of `launch-job schedule add`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from orchestrator.errors import UsageError
from orchestrator.schedule.definition import Schedule
from orchestrator.schedule.shelf import Shelf

#: Fields of a schedule that say when it is due; if one changes, ticks count from then on.
_TIMES = ("cron", "every_s", "timezone", "start", "end")

#: Fields that are not asked for.
_OWN = ("key", "since", "paused_at")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One schedule, as the file has it."""

    #: The file.
    path: Path
    #: Name of the schedule.
    name: str
    #: Name of the job.
    job: str
    #: All keys but `job`, with their values.
    options: Mapping[str, Any]
    #: Line of the name, under `""`, and of each key.
    lines: Mapping[str, int]

    def words(self) -> list[str]:
        """Return it as the arguments of `launch-job schedule add`."""
        words = [self.name, self.job]
        for key, value in self.options.items():
            flag = f"--{key.replace('_', '-')}"
            if isinstance(value, bool):
                words.append(flag if value else f"--no-{flag[2:]}")
                continue
            for one in value if isinstance(value, list) else [value]:
                words += [flag, str(one)]
        return words

    def where(self, message: str) -> str:
        """Return file, line and key that a complaint about it is most likely of."""
        named = [key for key in self.options if f"--{key.replace('_', '-')}" in message]
        meant = [key for key, value in self.options.items() if repr(str(value)) in message]
        key = next(iter([*named, *meant]), "job" if repr(self.job) in message else "")
        return place(self.path, self.lines[key], self.name, *([key] if key else []))


def read_file(path: Path) -> list[Entry]:
    """Read a schedules.yaml.

    Raises:
        UsageError: It is not there or not one; file, line and key are named.
    """
    import yaml

    try:
        root = yaml.compose(path.read_text(), Loader=yaml.SafeLoader)
    except OSError as err:
        raise UsageError(
            f"{path} can't be read: {err.strerror}.", hint="Name the file with -f."
        ) from err
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        mark = getattr(err, "problem_mark", None)
        problem = getattr(err, "problem", None) or str(err)
        at = f", line {mark.line + 1}" if mark else ""
        raise UsageError(f"{path}{at}: {problem}.") from err
    if root is None:
        return []
    top = _mapping(root, path)
    for key, (line, _) in top.items():
        if key != "schedules":
            raise UsageError(
                f"{place(path, line, key)}: the only key at the top is 'schedules'.",
                hint="Put the schedules under it, by name.",
            )
    return [
        _entry(path, name, line, node)
        for name, (line, node) in _mapping(top["schedules"][1], path, "schedules").items()
    ]


def _entry(path: Path, name: str, line: int, node: Any) -> Entry:
    keys = _mapping(node, path, name)
    # Read as text where text is meant: YAML takes 1:30 for a number, and a date for a date.
    values = {key: _value(value, path, name, key) for key, (_, value) in keys.items()}
    job = values.pop("job", None)
    if not isinstance(job, str):
        raise UsageError(f"{place(path, line, name)}: the key 'job' is missing.")
    return Entry(
        path=path,
        name=name,
        job=job,
        options=values,
        lines={"": line, **{key: at for key, (at, _) in keys.items()}},
    )


def _value(node: Any, path: Path, *keys: str) -> str | bool | list[str]:
    """Return what a key has: text, yes or no, or a list of texts."""
    import yaml

    if isinstance(node, yaml.SequenceNode):
        if all(isinstance(one, yaml.ScalarNode) for one in node.value):
            return [str(one.value) for one in node.value]
    elif isinstance(node, yaml.ScalarNode):
        if node.tag == "tag:yaml.org,2002:bool":
            return str(node.value).lower() in ("true", "yes", "on")
        if node.tag != "tag:yaml.org,2002:null":
            return str(node.value)
    line = node.start_mark.line + 1
    raise UsageError(f"{place(path, line, *keys)}: a value, or a list of values, is expected here.")


def _mapping(node: Any, path: Path, *keys: str) -> dict[str, tuple[int, Any]]:
    """Return the line and the value of each key.

    Raises:
        UsageError: It is no mapping, or a key is there twice.
    """
    import yaml

    if not isinstance(node, yaml.MappingNode):
        line = node.start_mark.line + 1
        raise UsageError(f"{place(path, line, *keys)}: names with values are expected here.")
    found: dict[str, tuple[int, Any]] = {}
    for key, value in node.value:
        line, name = key.start_mark.line + 1, str(key.value)
        if name in found:
            raise UsageError(f"{place(path, line, *keys, name)}: this key is there twice.")
        found[name] = (line, value)
    return found


def place(path: Path, line: int, *keys: str) -> str:
    """Return how a place in a file is named in messages."""
    return ", ".join([str(path), f"line {line}", *([".".join(keys)] if keys else [])])


@dataclass(frozen=True, kw_only=True)
class Change:
    """What applying a file does to one schedule."""

    #: What happens.
    action: Literal["add", "change", "remove"]
    #: Name of the schedule.
    name: str
    #: It as it will be; None: removed.
    wanted: Schedule | None
    #: Fields that change, with what they were and will be.
    fields: Mapping[str, tuple[Any, Any]]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        fields = {key: {"from": was, "to": will} for key, (was, will) in self.fields.items()}
        return {"action": self.action, "name": self.name, "fields": fields}


def find_changes(wanted: Sequence[Schedule], shelf: Shelf, source: str) -> list[Change]:
    """Compare what a file asks for with what there is.

    Args:
        wanted: The schedules of the file.
        shelf: The schedules of the storage.
        source: Path of the file.

    Returns:
        What has to change, by name; nothing if it was applied before.

    Raises:
        UsageError: A schedule of the same name does not come from this file.
    """
    there = {one.name: one for one in shelf.readable() if isinstance(one, Schedule)}
    changes = [_change(one, there.get(one.name)) for one in wanted]
    kept = {one.name for one in wanted}
    gone = (one for one in there.values() if one.source == source and one.name not in kept)
    removed = [Change(action="remove", name=one.name, wanted=None, fields={}) for one in gone]
    return sorted([*filter(None, changes), *removed], key=lambda change: change.name)


def _change(wanted: Schedule, there: Schedule | None) -> Change | None:
    if there is None:
        return Change(action="add", name=wanted.name, wanted=wanted, fields={})
    if there.source != wanted.source:
        raise UsageError(
            f"There is a schedule {wanted.name!r} already, "
            f"{f'of {there.source}' if there.source else 'added by hand'}.",
            hint=f"`launch-job schedule rm {wanted.name}` makes room.",
        )
    before, after = there.to_dict(), wanted.to_dict()
    fields = {
        key: (before[key], after[key])
        for key in after
        if key not in _OWN and before[key] != after[key]
    }
    if not fields:
        return None
    since = wanted.since if any(key in fields for key in _TIMES) else there.since
    changed = dataclasses.replace(wanted, key=there.key, since=since, paused_at=there.paused_at)
    return Change(action="change", name=wanted.name, wanted=changed, fields=fields)


def apply_changes(changes: Sequence[Change], shelf: Shelf) -> None:
    """Do what was found.

    Raises:
        UnavailableError: The storage can't be written.
    """
    for change in changes:
        if change.wanted is None:
            shelf.remove(change.name)
        else:
            shelf.write(change.wanted)
