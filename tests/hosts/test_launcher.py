"""A cluster of three machines, brought up over ssh from a fourth: submitted to, and taken down."""

import json
import os
import sys
from pathlib import Path

import pytest
from lab_cluster import Going

pytestmark = pytest.mark.slow

#: A file as a user has one; the machines have all that a setup would install.
CLUSTER = """
cluster_name: {name}
provider:
  type: local
  head_ip: {head}
  worker_ips: [{workers}]
auth:
  ssh_user: root
  ssh_private_key: {key}
setup_commands:
  - grep -qs {bin} ~/.bashrc || echo 'export PATH="{bin}:$PATH"' >> ~/.bashrc
head_start_ray_commands:
  - ray stop
  - >-
    ray start --head --port=6379 --num-cpus=1 --object-store-memory=80000000
    --autoscaling-config=~/ray_bootstrap_config.yaml
worker_start_ray_commands:
  - ray stop
  - ray start --address=$RAY_HEAD_IP:6379 --num-cpus=1 --object-store-memory=80000000
"""


class Client:
    """The machine that the user sits at: it sees the hosts, and the storage."""

    def __init__(self, lab, folder, storage):
        self.lab, self.folder = lab, folder
        (folder / "home").mkdir()
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder / "home"),
            "LAUNCH_JOB_STORAGE": str(storage),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_TMPDIR": str(folder),
            "COLUMNS": "1000",
            "HTTPS_PROXY": "http://127.0.0.1:9",
        }

    def start(self, *arguments, **environment):
        settings = [f"{k}={v}" for k, v in {**self.environment, **environment}.items()]
        via = ["ip", "netns", "exec", self.lab.switch, "env", "-i", f"--chdir={self.folder}"]
        program = [sys.executable, "-m", "orchestrator", *map(str, arguments)]
        return Going([*via, *settings, *program])

    def run(self, *arguments, code=0, **environment):
        return self.start(*arguments, **environment).end(code, timeout=300)


@pytest.fixture(scope="module")
def machines(lab):
    return [lab.add() for _ in range(3)]


@pytest.fixture(scope="module")
def client(lab, machines, tmp_path_factory):
    folder = tmp_path_factory.mktemp("client")
    head, *workers = (machine.address for machine in machines)
    text = CLUSTER.format(
        name=lab.name,
        head=head,
        workers=", ".join(workers),
        key=lab.folder / "key",
        bin=Path(sys.executable).parent,
    )
    (folder / "cluster.yaml").write_text(text)
    (folder / "jobs").mkdir()
    return Client(lab, folder, tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def up(client):
    printed, _ = client.run("cluster", "up", "-o", "json")
    return json.loads(printed)


def test_all_machines_are_up(up, machines):
    assert [node["address"] for node in up] == [machine.address for machine in machines]
    assert [node["head"] for node in up] == [True, False, False]


def test_down_leaves_no_process(client, up, machines):
    client.run("cluster", "down")
    for machine in machines:
        left = machine.run("ps", "-eo", "args").stdout
        assert "ray" not in left, left
