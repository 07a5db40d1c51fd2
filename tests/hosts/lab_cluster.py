"""A Ray cluster over hosts, brought up as an administrator would: `ray start` on each."""

from __future__ import annotations

import secrets
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from hosts import Host, Hosts

RAY = Path(sys.executable).with_name("ray")


@dataclass
class LabCluster:
    """A head and nodes, with one token for all, and a storage that all see."""

    lab: Hosts
    storage: Path
    nodes: list[Host] = field(default_factory=list)

    @property
    def head(self) -> Host:
        return self.nodes[0]

    @property
    def address(self) -> str:
        return f"{self.head.address}:6379"

    @property
    def token(self) -> Path:
        return self.lab.folder / "token"

    def settings(self) -> dict[str, str]:
        """Return the environment of all nodes."""
        if not self.token.exists():
            self.token.write_text(secrets.token_hex(32))
            self.token.chmod(0o600)
        return {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.token),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
            "LAUNCH_JOB_STORAGE": str(self.storage),
            # A silent host is given up after some 10 s, instead of a minute.
            "RAY_health_check_period_ms": "1000",
            "RAY_health_check_timeout_ms": "2000",
            "RAY_health_check_failure_threshold": "3",
            # Nothing here may come from another network.
            "HTTPS_PROXY": "http://127.0.0.1:9",
        }

    def start_node(self, host: Host, *, cpus: int = 1) -> Host:
        """Have a host join; the first becomes the head."""
        host.environment = self.settings()
        role = ["--address", self.address] if self.nodes else ["--head", "--port", "6379"]
        options = {
            "--node-ip-address": host.address,
            "--num-cpus": cpus,
            "--object-store-memory": 80_000_000,
        }
        flat = [part for pair in options.items() for part in pair]
        host.run(RAY, "start", *role, *flat, "--disable-usage-stats")
        if host not in self.nodes:
            self.nodes.append(host)
        return host

    def add(self, *, cpus: int = 1) -> Host:
        """Boot one more host and have it join."""
        return self.start_node(self.lab.add(), cpus=cpus)

    def launch_job(
        self, *arguments: object, on: Host | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run launch-job to its end on a host, the head if none is given."""
        return (on or self.head).python("-m", "orchestrator", *arguments, check=False, timeout=300)

    def begin_job(self, *arguments: object, on: Host | None = None) -> subprocess.Popen[str]:
        """Start launch-job on a host, the head if none is given; standard error is piped."""
        command = (on or self.head).ssh(sys.executable, "-m", "orchestrator", *arguments)
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
        )
