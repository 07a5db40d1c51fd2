"""A cluster of three machines, brought up over ssh from a fourth: submitted to, and taken down.

Its traffic is encrypted, but for the cluster that a schedule brings up by itself.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lab_cluster import RAY, Going
from test_three_hosts import EPOCHS, JOB

from orchestrator.records.events import EventLog
from orchestrator.states import RunState
from orchestrator.storage.storage import Storage

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
        self.storage = Storage(path=storage)
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

    def there(self, *program):
        """Run another program on it."""
        via = ["ip", "netns", "exec", self.lab.switch]
        command = [*via, *map(str, program)]
        # What a server answers need not be text.
        return subprocess.run(
            command, input="", capture_output=True, text=True, errors="replace", timeout=60
        )

    def run(self, *arguments, code=0, **environment):
        return self.start(*arguments, **environment).end(code, timeout=420)


def hosts_of(run):
    """Return the hosts of a run's ranks, as their logs name them."""
    return {log.read_text().split(" on ")[1].split(",")[0] for log in run.rank_logs()}


def assert_no_ray_on(machines):
    for machine in machines:
        left = machine.run("ps", "-eo", "args").stdout
        assert "ray" not in left, left


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
    (folder / "jobs" / "paced.py").write_text(JOB)
    return Client(lab, folder, tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def certificates(client):
    return Path(client.run("cluster", "certs")[0].strip())


@pytest.fixture(scope="module")
def up(client, certificates):
    printed, _ = client.run("cluster", "up", "--tls", "-o", "json")
    return json.loads(printed)


def test_all_machines_are_up(up, machines):
    assert [node["address"] for node in up] == [machine.address for machine in machines]
    assert [node["head"] for node in up] == [True, False, False]


@pytest.mark.parametrize("shown", [True, False])
def test_control_store_speaks_only_to_who_has_a_certificate(client, up, certificates, shown):
    head = up[0]["address"]
    command = ["openssl", "s_client", "-connect", f"{head}:6379", "-tls1_2", "-alpn", "h2"]
    command += ["-CAfile", certificates / "ca.crt", "-verify_ip", head, "-verify_return_error"]
    if shown:
        command += ["-cert", certificates / "node.crt", "-key", certificates / "node.key"]
    done = client.there(*command)
    assert "Verify return code: 0 (ok)" in done.stdout
    # With TLS 1.3, a client would hear only after its handshake that it has to show a certificate.
    assert (done.returncode == 0) == shown, done.stderr


def test_client_and_node_without_the_token_are_refused(client, up, certificates, lab):
    asked = ["paced", "--dataset", "digits"]
    _, said = client.run(*asked, code=3, RAY_AUTH_TOKEN_PATH=str(client.folder / "none"))
    assert "wants a token" in said
    wrong = client.folder / "wrong"
    wrong.write_text("wrong" * 8)
    _, said = client.run(*asked, code=3, RAY_AUTH_TOKEN_PATH=str(wrong))
    assert "another token" in said
    stranger = lab.add()
    # All that it lacks is the token.
    names = {"CA_CERT": "ca.crt", "SERVER_CERT": "node.crt", "SERVER_KEY": "node.key"}
    paths = {f"RAY_TLS_{key}": str(certificates / name) for key, name in names.items()}
    stranger.environment |= {"RAY_USE_TLS": "1", **paths}
    join = ["timeout", 60, RAY, "start", "--address", f"{up[0]['address']}:6379"]
    stranger.run(*join, check=False)
    assert len(json.loads(client.run("cluster", "status", "-o", "json")[0])) == len(up)
    stranger.remove()


def test_dashboard_is_shown_through_a_tunnel_while_the_command_lasts(client, up):
    browser, shown = client.folder / "browser", client.folder / "shown"
    browser.write_text(f'#!/bin/sh\necho "$1" > {shown}\n')
    browser.chmod(0o755)
    going = client.start("dashboard", "--open", BROWSER=str(browser))
    going.await_line("Its token: ")
    going.await_line("The tunnel stays open")
    url = shown.read_text().strip()
    assert url.startswith("http://127.0.0.1:")
    asked = f"import urllib.request; print(urllib.request.urlopen({url!r}).read().decode())"
    assert "<title>Ray Dashboard</title>" in client.there(sys.executable, "-c", asked).stdout
    going.interrupt()
    assert going.end()[0].strip() == url
    assert "Connection refused" in client.there(sys.executable, "-c", asked).stderr


def test_doctor_looks_at_every_machine(client, up, machines):
    machines[2].run("mount", "-t", "tmpfs", "tmpfs", client.environment["LAUNCH_JOB_STORAGE"])
    try:
        printed, _ = client.run("doctor", "-o", "json", code=1)
    finally:
        machines[2].run("umount", client.environment["LAUNCH_JOB_STORAGE"])
    found = {line["name"]: line["verdict"] for line in json.loads(printed)}
    assert found["cluster"] == "ok"
    addresses = [node["address"] for node in up]
    assert [found[f"{address} versions"] for address in addresses] == ["ok"] * 3
    assert [found[f"{address} storage"] for address in addresses] == ["ok", "ok", "fail"]


def test_run_goes_on_after_the_head_has_lost_its_power(client, up, machines):
    printed, _ = client.run("paced", "--workers", 3, "-d", "-o", "json")
    run_id = json.loads(printed)["run_id"]
    run = client.storage.run(run_id)
    end = time.monotonic() + 120
    while not any(event.event == "checkpoint" for event in EventLog(path=run.events).read()):
        assert time.monotonic() < end, run.driver_log.read_text()
        time.sleep(0.2)
    assert hosts_of(run) == {"h1", "h2", "h3"}
    machines[0].pull_power()
    (listed,) = json.loads(client.run("ls", "-o", "json")[0])
    assert (listed["run_id"], listed["state"]) == (run_id, "LOST")
    assert "Epoch 1/" in client.run("logs", run_id, "--rank", "driver")[0]
    machines[0].restore_power()
    again = json.loads(client.run("cluster", "up", "--tls", "-o", "json")[0])
    assert [node["address"] for node in again] == [node["address"] for node in up]
    report = json.loads(client.run("resume", run_id, "-o", "json")[0])
    assert report["state"] == "SUCCEEDED"
    assert [epoch["epoch"] for epoch in report["history"]] == list(range(1, EPOCHS + 1))
    rows = json.loads(client.run("results", "-o", "json")[0])
    assert [row["run_id"] for row in rows] == [run_id]


def test_down_leaves_no_process(client, up, machines):
    client.run("cluster", "down")
    assert_no_ray_on(machines)


def test_schedule_brings_it_up_for_a_run_and_takes_it_down_again(client, machines):
    asked = ["paced", "--dataset", "digits", "--workers", 3, "--epochs", 1]
    client.run(
        "schedule", "add", "nightly", *asked, "--every", "1h", "--cluster-up", "--cluster-down"
    )
    client.run("schedule", "run", "nightly")
    shown = json.loads(client.run("schedule", "show", "nightly", "-o", "json")[0])
    (tick,) = [tick for tick in shown["history"] if tick["outcome"] == "fired"]
    run = client.storage.run(tick["run_id"])
    assert EventLog(path=run.events).state() is RunState.SUCCEEDED
    assert hosts_of(run) == {"h1", "h2", "h3"}
    assert not any("summed through memory" in log.read_text() for log in run.rank_logs())
    assert_no_ray_on(machines)
