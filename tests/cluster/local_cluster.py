"""A Ray cluster of this machine alone, for tests: with a token, and gone without a trace."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from orchestrator.cluster.leftovers import MARK, end_leftovers

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


class LocalCluster:
    """A head with two CPUs, and two GPUs that are not there; a context manager."""

    def __init__(self) -> None:
        # Sockets below it have long names, and may have no more than 107 characters.
        self.folder = Path(tempfile.mkdtemp(prefix="lj-"))
        self.token = self.folder / "token"
        self.token.touch(mode=0o600)
        self.token.write_text(secrets.token_hex(32))
        self.port, self.dashboard_port, self._agent_port = _free_ports(3)
        self.url = f"http://127.0.0.1:{self.dashboard_port}"

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of the cluster, and of who may reach it."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        return {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(home),
            "PYTHONPATH": str(ROOT),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.token),
            "RAY_USAGE_STATS_ENABLED": "0",
            "COLUMNS": "1000",
            "HTTPS_PROXY": "http://127.0.0.1:9",
            **more,
        }

    def __enter__(self) -> LocalCluster:
        options = {
            "port": self.port,
            "dashboard-port": self.dashboard_port,
            "dashboard-agent-listen-port": self._agent_port,
            "num-cpus": 2,
            # Which Ray only counts: what needs one finds none.
            "num-gpus": 2,
            "object-store-memory": 80_000_000,
            "temp-dir": self.folder,
        }
        flags = [f"--{name}={value}" for name, value in options.items()]
        mark = str(self.folder)
        with (self.folder / "start.log").open("wb") as log:
            self._head = subprocess.Popen(
                [BIN / "ray", "start", "--head", "--block", "--disable-usage-stats", *flags],
                env=self.environment(**{MARK: mark}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + 120
        while time.monotonic() < until and self._head.poll() is None:
            try:
                self.get("/api/jobs/")
                return self
            except OSError:
                time.sleep(0.2)
        self.__exit__()
        raise RuntimeError("the cluster did not start")

    def get(self, path: str) -> object:
        """Return what the dashboard answers, as JSON values."""
        bearer = {"Authorization": f"Bearer {self.token.read_text()}"}
        with urllib.request.urlopen(
            urllib.request.Request(f"{self.url}{path}", headers=bearer), timeout=10
        ) as answer:
            return json.load(answer)

    def metrics(self) -> str:
        """Return what the cluster exports for Prometheus."""
        found = json.loads((self.folder / "prom_metrics_service_discovery.json").read_text())
        texts = []
        for target in found[0]["targets"]:
            with urllib.request.urlopen(f"http://{target}/metrics", timeout=10) as answer:
                texts.append(answer.read().decode())
        return "\n".join(texts)

    def __exit__(self, *error: object) -> None:
        self._head.send_signal(signal.SIGTERM)
        try:
            self._head.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._head.kill()
            self._head.wait()
        end_leftovers(str(self.folder))
        shutil.rmtree(self.folder, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
