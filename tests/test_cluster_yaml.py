"""Each cluster.yaml is what Ray's cluster launcher takes, and steps around its traps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]


#: This project, and the one that `launch-job init` writes.
PROJECTS = (ROOT, ROOT / "orchestrator" / "templates" / "project")


@pytest.fixture(scope="module", params=PROJECTS, ids=lambda project: project.name)
def project(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.param
    return folder


@pytest.fixture(scope="module")
def config(project: Path) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((project / "cluster.yaml").read_text())
    return values


@pytest.fixture(scope="module")
def prepared(config: dict[str, Any]) -> dict[str, Any]:
    """The file as `ray up` sees it: with Ray's defaults for what it leaves out."""
    from ray.autoscaler._private.util import prepare_config

    filled: dict[str, Any] = prepare_config(config)
    return filled


def test_ray_accepts_it(prepared: dict[str, Any]) -> None:
    from ray.autoscaler._private.util import validate_config

    validate_config(prepared)


def test_ray_keeps_every_machine_in_the_cluster(
    config: dict[str, Any], prepared: dict[str, Any]
) -> None:
    (node_type,) = prepared["available_node_types"].values()

    assert node_type["min_workers"] == len(config["provider"]["worker_ips"])


def test_whatever_is_sent_to_the_machines_is_in_the_project(
    project: Path, config: dict[str, Any]
) -> None:
    sent = [local for local in config["file_mounts"].values() if not local.startswith("~")]

    assert sent
    assert [local for local in sent if not (project / local).exists()] == []


def test_every_machine_gets_the_token_and_asks_for_it(config: dict[str, Any]) -> None:
    starts = [
        command
        for kind in ("head", "worker")
        for command in config[f"{kind}_start_ray_commands"]
        if "ray start" in command
    ]

    assert "~/.ray/auth_token" in config["file_mounts"]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token" in command for command in starts)


def test_the_head_starts_all_workers_and_keeps_the_dashboard_to_itself(
    config: dict[str, Any],
) -> None:
    (start,) = [c for c in config["head_start_ray_commands"] if "ray start" in c]

    assert "RAY_enable_autoscaler_v2=0" in start
    assert "--dashboard-host=127.0.0.1" in start


def test_ray_is_on_the_path_of_later_shells(config: dict[str, Any]) -> None:
    assert any(".bashrc" in c and ".venv/bin" in c for c in config["setup_commands"])
