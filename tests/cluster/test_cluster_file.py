"""cluster.yaml is read as Ray's launcher reads it; a mistake is named with its key and line."""

from pathlib import Path

import pytest

from orchestrator.cluster.cluster_file import ClusterFile
from orchestrator.cluster.mending import mended
from orchestrator.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
WORKERS = "  worker_ips:\n    - 10.0.0.2\n    - 10.0.0.3\n"
GOOD = f"""cluster_name: lab
provider:
  type: local
  head_ip: 10.0.0.1
{WORKERS}auth:
  ssh_user: me
head_start_ray_commands:
  - ray stop
  - ray start --head --port=6400 --dashboard-port 8300
"""

MISTAKES = {
    "there is no such key": ("auth:", "maxworkers: 3\nauth:", 8, "maxworkers"),
    "must be of type string": ("lab", "3", 1, "cluster_name"),
    "the key 'provider' is missing": (GOOD[18:], "auth:\n  ssh_user: me\n", 1, ""),
    "the key 'type' is missing": ("  type: local\n", "", 2, "provider"),
    "the key 'worker_ips' is missing": (WORKERS, "", 2, "provider"),
    "10.0.0.2 is named twice": ("10.0.0.3", "10.0.0.2", 7, "provider.worker_ips.1"),
    "'auth.ssh_user' is missing": ("  ssh_user: me", "  ssh_private_key: k", 8, "auth"),
    "is no YAML": ("  head_ip", " head_ip", 4, ""),
}


def read(folder, text):
    path = folder / "cluster.yaml"
    path.write_text(text)
    return ClusterFile.read(path)


def test_what_it_says(tmp_path):
    file = read(tmp_path, GOOD)
    assert (file.name, file.head, file.workers) == ("lab", "10.0.0.1", ("10.0.0.2", "10.0.0.3"))
    assert (file.nodes, file.port, file.dashboard_port) == (3, 6400, 8300)


@pytest.mark.parametrize("problem", MISTAKES)
def test_mistake_is_named_with_key_and_line(tmp_path, problem):
    good, bad, line, key = MISTAKES[problem]
    with pytest.raises(UsageError) as caught:
        read(tmp_path, GOOD.replace(good, bad, 1))
    message = caught.value.message
    assert problem in message
    assert f"line {line}" in message
    assert key in message


def test_empty_file_marks_a_project_only(tmp_path):
    with pytest.raises(UsageError, match="tells of no cluster"):
        read(tmp_path, "# nothing\n")


@pytest.mark.parametrize("path", [ROOT / "cluster.yaml", *ROOT.glob("docs/*.yaml")], ids=str)
def test_files_that_come_along_are_valid(path):
    file = ClusterFile.read(path)
    assert file.nodes >= 1


def test_every_start_of_ray_asks_for_the_token(tmp_path):
    file = read(tmp_path, GOOD)
    config = mended(file, token=tmp_path / "token")
    assert config["file_mounts"]["~/.ray/auth_token"] == str(tmp_path / "token")
    for key in ("head_start_ray_commands", "worker_start_ray_commands"):
        protect, *_, start = config[key]
        assert protect == "chmod 600 ~/.ray/auth_token"
        assert 'RAY_AUTH_MODE="token"' in start
        assert 'RAY_enable_autoscaler_v2="0"' in start
    assert "--head --node-ip-address=10.0.0.1 " in config["head_start_ray_commands"][-1]
    assert "--port=6400" in config["head_start_ray_commands"][-1]
    assert "file_mounts" not in file.config, "the user's own is not changed"
