"""Machines are reached over ssh as Ray's launcher reaches them; what Ray leaves there is ended."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.cluster.remnants import end_ray
from orchestrator.cluster.ssh import Login
from orchestrator.errors import UnavailableError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def machines(lab):
    return [lab.add() for _ in range(2)]


@pytest.fixture
def login(lab, machines, monkeypatch):
    """A login from the switch, where the tests' user would sit."""
    plain = Login.command

    def from_switch(self, host, *options):
        return ["ip", "netns", "exec", lab.switch, *plain(self, host, *options)]

    monkeypatch.setattr(Login, "command", from_switch)
    key = {"ssh_user": "root", "ssh_private_key": str(lab.folder / "key")}
    return Login.of(machines[0].address, key)


def test_each_machine_is_reached_past_the_head_through_it(login, machines):
    for machine in machines:
        assert login.run(machine.address, "hostname").stdout == f"h{machine.number}\n"


def test_head_reaches_the_others_with_the_key_in_its_home(lab, machines):
    head, other = machines
    shutil.copy(lab.folder / "key", head.disk / "home" / "key.pem")
    trust = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    said = head.run("ssh", "-q", "-i", "~/key.pem", *trust, f"root@{other.address}", "hostname")
    assert said.stdout == f"h{other.number}\n"


def test_tunnel_ends_with_its_process(lab, machines):
    """It is opened by a process of its own, which then dies without a word."""
    head = machines[0]
    serve = head.ssh(sys.executable, "-m", "http.server", "8265", "--bind", "127.0.0.1")
    with subprocess.Popen(serve, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        program = (
            "import os, time, urllib.request\n"
            "from orchestrator.cluster.ssh import Login\n"
            f"auth = {{'ssh_user': 'root', 'ssh_private_key': {str(lab.folder / 'key')!r}}}\n"
            f"url = Login.of({head.address!r}, auth).tunnel(8265)\n"
            "for _ in range(100):\n"
            "    try:\n"
            "        print(urllib.request.urlopen(url, timeout=10).status, flush=True)\n"
            "        break\n"
            "    except OSError:\n"
            "        time.sleep(0.1)\n"
            "os.kill(os.getpid(), 9)\n"
        )
        client = ["ip", "netns", "exec", lab.switch, sys.executable, "-c", program]
        done = subprocess.run(client, capture_output=True, text=True, timeout=60)
        assert done.stdout == "200\n", done.stderr
        server.kill()
    end = time.monotonic() + 20
    while any(_is_tunnel(path, lab) for path in Path("/proc").glob("[0-9]*/cmdline")):
        assert time.monotonic() < end, "the tunnel is still there"
        time.sleep(0.1)


def _is_tunnel(path, lab):
    try:
        words = path.read_bytes().split(b"\0")
    except OSError:
        return False
    return str(lab.folder / "key").encode() in words and b"ExitOnForwardFailure=yes" in words


def test_head_that_does_not_answer_is_named(lab, login):
    silent = Login.of("10.77.0.99", {"ssh_user": "root"})
    with pytest.raises(UnavailableError, match=r"10\.77\.0\.99 can't be reached over ssh"):
        silent.tunnel(8265)


def test_what_ray_left_is_ended_and_nothing_else(login, machines, tmp_path):
    machine = machines[1]
    raylet = tmp_path / "ray" / "core" / "src" / "ray" / "raylet" / "raylet"
    raylet.parent.mkdir(parents=True)
    shutil.copy("/bin/sleep", raylet)
    left = [subprocess.Popen(machine.ssh(program, 60)) for program in (raylet, "sleep")]
    machine.run("sh", "-c", "until pgrep -x raylet && pgrep -x sleep; do :; done")
    assert end_ray(login, machine.address) == 1
    assert end_ray(login, machine.address) == 0
    assert left[0].wait(timeout=10) != 0
    assert left[1].poll() is None
    left[1].kill()
    left[1].wait()
