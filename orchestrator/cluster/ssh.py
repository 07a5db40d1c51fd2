"""Reaching the machines of a cluster launcher's file over ssh, as Ray's own launcher does."""

from __future__ import annotations

import atexit
import contextlib
import shlex
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import UnavailableError

#: How long a machine may take to answer.
_CONNECT_S = 10

#: How long a tunnel may take to stand.
_TUNNEL_S = 20.0


@dataclass(frozen=True, kw_only=True)
class Login:
    """How a cluster's machines are logged into."""

    #: Address of the head.
    head: str
    #: The user there.
    user: str
    #: Private key; None: what ssh takes by itself.
    key: str | None
    #: A program that connects to them; None: the network does.
    proxy: str | None

    @classmethod
    def of(cls, head: str, auth: Mapping[str, Any]) -> Login:
        """Return it, from the `auth` of a cluster launcher's file."""
        key = auth.get("ssh_private_key")
        return cls(
            head=head,
            user=str(auth.get("ssh_user", "ubuntu")),
            key=str(Path(str(key)).expanduser()) if key else None,
            proxy=auth.get("ssh_proxy_command"),
        )

    def command(self, host: str, *options: str) -> list[str]:
        """Return the command line that logs into a host: past the head, through the head."""
        proxy = self.proxy
        if host != self.head:
            proxy = shlex.join([*self.command(self.head, "-W", "%h:%p")])
        named = {
            # As Ray's launcher: rented machines come and go at the same addresses.
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "IdentitiesOnly": "yes" if self.key else "no",
            "ConnectTimeout": str(_CONNECT_S),
            "BatchMode": "yes",
            "ServerAliveInterval": "5",
            **({"ProxyCommand": proxy} if proxy else {}),
        }
        flat = [part for name, value in named.items() for part in ("-o", f"{name}={value}")]
        identity = ["-i", self.key] if self.key else []
        return ["ssh", "-q", *identity, *flat, *options, f"{self.user}@{host}"]

    def run(self, host: str, script: str) -> subprocess.CompletedProcess[str]:
        """Run a shell script on a host."""
        return subprocess.run(
            [*self.command(host), "sh", "-s"],
            input=script,
            capture_output=True,
            text=True,
            check=False,
        )

    def tunnel(self, port: int) -> str:
        """Open a tunnel to a port of the head's loopback, which lasts as long as this process.

        Returns:
            The address of its end here, `http://127.0.0.1:port`.

        Raises:
            UnavailableError: The head can't be reached.
        """
        here = _free_port()
        forward = ["-o", "ExitOnForwardFailure=yes", "-L", f"127.0.0.1:{here}:127.0.0.1:{port}"]
        # `cat` ends when this process does, however that ends, and with it the tunnel.
        process = subprocess.Popen(
            [*self.command(self.head, *forward), "cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        atexit.register(_close, process)
        until = time.monotonic() + _TUNNEL_S
        while time.monotonic() < until and process.poll() is None:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", here), timeout=1).close()
                return f"http://127.0.0.1:{here}"
            time.sleep(0.05)
        _close(process)
        raise UnavailableError(
            f"The cluster's head {self.head} can't be reached over ssh.",
            hint=f"Try: {shlex.join(self.command(self.head))} true",
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _close(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    process.terminate()
    process.wait()
