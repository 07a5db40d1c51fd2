"""cluster.yaml: a file of Ray's own cluster launcher, and what launch-job has to know of it.

It is checked with Ray's schema before anything is done, and a mistake is named with its key and
its line: Ray would print the whole schema, or find out in the middle of bringing a cluster up.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.storage.atomic import storage_errors

#: Ports of `ray start` unless it is told others.
_HEAD_PORT, _DASHBOARD_PORT = 6379, 8265

#: Providers whose machines are there already, at addresses that the file names.
OWN_MACHINES = "local"


@dataclass(frozen=True, kw_only=True)
class ClusterFile:
    """A cluster launcher's file that is valid."""

    #: Where it is.
    path: Path
    #: All that it says.
    config: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> ClusterFile:
        """Read and check a file.

        Raises:
            UsageError: It isn't there, or isn't valid; key and line are named.
        """
        import yaml

        if not path.is_file():
            raise UsageError(
                f"There is no {path}.", hint="docs/clusters.md shows one for each kind of machine."
            )
        with storage_errors(path):
            text = path.read_text()
        try:
            config = yaml.safe_load(text)
            tree = yaml.compose(text)
        except yaml.YAMLError as err:
            raise UsageError(f"{path}{_line_of(err)} is no YAML: {_problem(err)}.") from err
        if config is None:
            raise UsageError(
                f"{path} is empty: it marks a project, but tells of no cluster.",
                hint="docs/clusters.md shows what belongs into it.",
            )
        for place, problem in _problems(config):
            named = ".".join(str(part) for part in place)
            raise UsageError(
                f"{path}, line {_line_at(tree, place)}: {f'{named}: ' if named else ''}{problem}.",
                hint="docs/clusters.md explains each key.",
            )
        return cls(path=path.absolute(), config=config)

    @property
    def name(self) -> str:
        """Name that Ray tells the cluster by."""
        return str(self.config["cluster_name"])

    @property
    def own_machines(self) -> bool:
        """Whether the machines are there already, at known addresses."""
        return bool(self.config["provider"]["type"] == OWN_MACHINES)

    @property
    def workers(self) -> tuple[str, ...]:
        """Addresses of all machines but the head; empty where they are rented."""
        return tuple(str(ip) for ip in self.config["provider"].get("worker_ips", ()))

    @property
    def head(self) -> str | None:
        """Address of the head; None where it is rented."""
        found = self.config["provider"].get("head_ip")
        return None if found is None else str(found)

    @property
    def nodes(self) -> int:
        """How many machines are up when all are: of rented ones, the fewest."""
        if self.own_machines:
            return 1 + len(self.workers)
        types = self.config.get("available_node_types", {})
        head = self.config.get("head_node_type")
        return 1 + sum(int(t.get("min_workers", 0)) for name, t in types.items() if name != head)

    @property
    def port(self) -> int:
        """Port of the cluster's control store."""
        return self._option("--port", _HEAD_PORT)

    @property
    def dashboard_port(self) -> int:
        """Port of the dashboard on the head."""
        return self._option("--dashboard-port", _DASHBOARD_PORT)

    def _option(self, flag: str, default: int) -> int:
        commands = " ".join(map(str, self.config.get("head_start_ray_commands") or ()))
        found = re.search(rf"{flag}[= ](\d+)", commands)
        return int(found[1]) if found else default


#: A place in a file: keys and indices from the top.
_Place = tuple[str | int, ...]


def _problems(config: Any) -> Iterator[tuple[_Place, str]]:
    """Yield what is wrong: Ray's schema first, then what Ray finds out later or not at all."""
    import jsonschema

    schema = json.loads((_ray_folder() / "autoscaler" / "ray-schema.json").read_text())
    for err in jsonschema.Draft7Validator(schema).iter_errors(config):
        yield _told(err)
    yield from _local_problems(config)


def _ray_folder() -> Path:
    """Return where Ray is installed. Importing it would have it settle on showing no token yet."""
    spec = importlib.util.find_spec("ray")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _told(err: Any) -> tuple[_Place, str]:
    """Return where an error of the schema is, and what it is, in words."""
    place = tuple(err.absolute_path)
    if err.validator == "additionalProperties":
        (key, *_) = (k for k in err.instance if k not in err.schema.get("properties", {}))
        return (*place, key), "there is no such key"
    if err.validator == "required":
        missing = next(key for key in err.validator_value if key not in err.instance)
        return place, f"the key {missing!r} is missing"
    if err.validator == "type":
        return place, f"must be of type {err.validator_value}, not {err.instance!r}"
    return place, str(err.message)


def _local_problems(config: Mapping[str, Any]) -> Iterator[tuple[_Place, str]]:
    provider = config["provider"]
    if provider["type"] != OWN_MACHINES or "coordinator_address" in provider:
        return
    for key in ("head_ip", "worker_ips"):
        if key not in provider:
            yield ("provider",), f"the key {key!r} is missing"
    ips = [provider["head_ip"], *provider["worker_ips"]]
    for index, ip in enumerate(ips):
        place: _Place = ("provider", "worker_ips", index - 1) if index else ("provider", "head_ip")
        if not isinstance(ip, str) or not ip.strip():
            yield place, f"must be an address, not {ip!r}"
        elif ip in ips[:index]:
            yield place, f"{ip} is named twice"
    if "ssh_user" not in config.get("auth", {}):
        yield ("auth",) if "auth" in config else (), "the key 'auth.ssh_user' is missing"


def _line_at(tree: Any, place: Sequence[str | int]) -> int:
    """Return the line, from 1, that a place of a file is at, or the nearest that is there."""
    import yaml

    node, line = tree, tree.start_mark.line
    for part in place:
        if isinstance(node, yaml.MappingNode):
            found = [(k, v) for k, v in node.value if k.value == part]
            if not found:
                break
            line, node = found[0][0].start_mark.line, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line
    return int(line) + 1


def _line_of(err: Any) -> str:
    mark = getattr(err, "problem_mark", None)
    return f", line {mark.line + 1}," if mark else ""


def _problem(err: Any) -> str:
    return str(getattr(err, "problem", None) or err)
