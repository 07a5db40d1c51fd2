"""Hosts: several machines on this one, for tests of what crosses a network.

Each is a network, mount, process and name space of its own, with an address, an sshd, a home, and
a private /tmp/ray and /dev/shm. All see the same files otherwise: that is their shared storage.
Nothing leaves the machine: the switch that they are plugged into leads nowhere else.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SSHD = "/usr/sbin/sshd"

#: A network's name begins with the process that made it.
_OWNED = re.compile(r"lj(\d+)-\w+")


def missing() -> str | None:
    """Say what hosts need that isn't here; None if all is."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    programs = ("ip", "setpriv", "unshare", "openssl", "ssh", "ssh-keygen", SSHD)
    if absent := [p for p in programs if shutil.which(p) is None]:
        return f"missing: {', '.join(absent)} (iproute2, util-linux, openssh-server, openssl)"
    tried = subprocess.run(["unshare", "-n", "-m", "-u", "-p", "-f", "--mount-proc", "true"])
    return "this machine does not let root make namespaces" if tried.returncode else None


def _sh(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)


def _remove_stale() -> None:
    """Take away the networks that tests left which were killed."""
    for network in Path("/run/netns").glob("lj*-*"):
        owner = _OWNED.fullmatch(network.name)
        if owner and not Path(f"/proc/{owner[1]}").exists():
            _sh("ip", "netns", "del", network.name)


@dataclass
class Host:
    """One machine."""

    lab: Hosts
    number: int
    power: subprocess.Popen[bytes] | None = None
    #: Environment of what runs here, and the folder it runs in: the home, unless set.
    environment: dict[str, str] = field(default_factory=dict)
    folder: Path | None = None

    @property
    def address(self) -> str:
        return f"10.77.0.{10 + self.number}"

    @property
    def disk(self) -> Path:
        return self.lab.folder / f"h{self.number}"

    @property
    def _space(self) -> str:
        return f"{self.lab.name}-h{self.number}"

    @property
    def _cable(self) -> str:
        """The switch's end of the cable."""
        return f"to-h{self.number}"

    def boot(self) -> None:
        """Turn the power on, and wait until it answers."""
        for name in ("ray", "home"):
            (self.disk / name).mkdir(parents=True, exist_ok=True)
        (self.disk / "home" / ".bashrc").touch()
        # Whoever logs in is root, and has a home of their own on each host.
        users = [line.split(":") for line in Path("/etc/passwd").read_text().splitlines()]
        for user in users:
            if user[0] == "root":
                user[5] = str(self.disk / "home")
        (self.disk / "passwd").write_text("".join(f"{':'.join(user)}\n" for user in users))
        Path("/tmp/ray").mkdir(exist_ok=True)
        options = {
            "UsePAM": "no",
            "PidFile": "none",
            "StrictModes": "no",
            "PermitRootLogin": "yes",
            "MaxStartups": "100",
            "AuthorizedKeysFile": self.lab.folder / "key.pub",
        }
        sshd = [SSHD, "-D", "-e", "-f", "/dev/null", "-h", str(self.lab.folder / "hostkey")]
        sshd += [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        script = (
            f"hostname h{self.number} && mount --bind {self.disk}/ray /tmp/ray"
            f" && mount --bind {self.disk}/passwd /etc/passwd"
            f" && mount -t tmpfs -o size=1g tmpfs /dev/shm && exec {shlex.join(sshd)}"
        )
        # They die with the tests, whatever ends those.
        tied = ["setpriv", "--pdeathsig", "KILL", "ip", "netns", "exec", self._space]
        spaces = ["unshare", "-m", "-u", "-p", "-f", "--mount-proc", "--kill-child"]
        with (self.disk / "console.log").open("ab") as console:
            self.power = subprocess.Popen(
                [*tied, *spaces, "sh", "-c", script],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )
        for _ in range(100):
            if self.run("true", check=False).returncode == 0:
                return
            time.sleep(0.1)
        raise RuntimeError((self.disk / "console.log").read_text())

    def ssh(self, *command: object) -> list[str]:
        """Return the command line that runs a command on this host, from the switch."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.disk / "home"),
            "PYTHONPATH": str(ROOT),
            **self.environment,
        }
        folder = str(self.folder or self.disk / "home")
        words = ["cd", shlex.quote(folder), "&&", "exec", "env", "-i"]
        words += [shlex.quote(f"{name}={value}") for name, value in environment.items()]
        words += [shlex.quote(str(part)) for part in command]
        options = {
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "ConnectTimeout": "2",
            "ServerAliveInterval": "2",
        }
        client = ["ssh", "-q", "-i", str(self.lab.folder / "key")]
        client += [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        via = ["ip", "netns", "exec", self.lab.switch]
        return [*via, *client, f"root@{self.address}", " ".join(words)]

    def run(
        self, *command: object, check: bool = True, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on this host."""
        done = subprocess.run(
            self.ssh(*command), capture_output=True, text=True, timeout=timeout, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"{command} on {self.address}: {done.stdout}{done.stderr}")
        return done

    def python(self, *arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        """Run this Python on this host."""
        return self.run(sys.executable, *arguments, **options)

    def unplug(self) -> None:
        """Pull the network cable: no packet passes, no connection is closed."""
        _sh("ip", "-n", self.lab.switch, "link", "set", self._cable, "down")

    def plug(self) -> None:
        """Put the network cable in again."""
        _sh("ip", "-n", self.lab.switch, "link", "set", self._cable, "up")

    def pull_power(self) -> None:
        """End every process at once; the others hear nothing of it, as the cable goes first."""
        self.unplug()
        self._off()

    def _off(self) -> None:
        if self.power is not None:
            self.power.kill()
            self.power.wait()
            self.power = None

    def restore_power(self) -> None:
        """Boot again, the disk as it was."""
        self.plug()
        self.boot()

    def join_switch(self) -> None:
        """Make the network and the cable."""
        _sh("ip", "netns", "add", self._space)
        peer = ["type", "veth", "peer", "name", "eth0", "netns", self._space]
        _sh("ip", "-n", self.lab.switch, "link", "add", self._cable, *peer)
        _sh("ip", "-n", self.lab.switch, "link", "set", self._cable, "master", "br0", "up")
        _sh("ip", "-n", self._space, "addr", "add", f"{self.address}/24", "dev", "eth0")
        _sh("ip", "-n", self._space, "link", "set", "eth0", "up")
        _sh("ip", "-n", self._space, "link", "set", "lo", "up")

    def remove(self) -> None:
        """Turn it off and take it away."""
        self._off()
        with contextlib.suppress(subprocess.CalledProcessError):
            _sh("ip", "netns", "del", self._space)


class Hosts:
    """A switch and the hosts that are plugged into it; a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = f"lj{os.getpid()}"
        self.switch = f"{self.name}-sw"
        self.hosts: list[Host] = []

    def __enter__(self) -> Hosts:
        self.folder.mkdir(parents=True, exist_ok=True)
        Path("/run/sshd").mkdir(exist_ok=True)
        for key in ("key", "hostkey"):
            if not (self.folder / key).exists():
                _sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / key)
        _remove_stale()
        _sh("ip", "netns", "add", self.switch)
        _sh("ip", "-n", self.switch, "link", "add", "br0", "type", "bridge")
        _sh("ip", "-n", self.switch, "addr", "add", "10.77.0.1/24", "dev", "br0")
        for link in ("br0", "lo"):
            _sh("ip", "-n", self.switch, "link", "set", link, "up")
        return self

    def add(self) -> Host:
        """Plug in and boot one more host."""
        host = Host(lab=self, number=len(self.hosts) + 1)
        self.hosts.append(host)
        host.join_switch()
        host.boot()
        return host

    def __exit__(self, *error: object) -> None:
        for host in self.hosts:
            host.remove()
        with contextlib.suppress(subprocess.CalledProcessError):
            _sh("ip", "netns", "del", self.switch)
