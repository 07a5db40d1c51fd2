"""A Ray cluster over hosts, brought up as an administrator would: `ray start` on each."""

from __future__ import annotations

import os
import queue
import secrets
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

from hosts import Host, Hosts

RAY = Path(sys.executable).with_name("ray")


@dataclass
class LabCluster:
    """A head and nodes, with one token for all, and a storage that all see."""

    lab: Hosts
    storage: Path
    #: Folder that commands run in, on every node.
    project: Path | None = None
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
            # The driver of a run that is submitted is a `python` of the head.
            "PATH": f"{RAY.parent}:{os.environ['PATH']}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.token),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
            "LAUNCH_JOB_STORAGE": str(self.storage),
            # A silent host is given up after some 10 s, instead of a minute.
            "RAY_health_check_period_ms": "1000",
            "RAY_health_check_timeout_ms": "2000",
            "RAY_health_check_failure_threshold": "3",
            # So that no line of a message is wrapped.
            "COLUMNS": "1000",
            # Nothing here may come from another network.
            "HTTPS_PROXY": "http://127.0.0.1:9",
        }

    def start_node(self, host: Host, *, cpus: int = 1) -> Host:
        """Have a host join; the first becomes the head."""
        host.environment, host.folder = self.settings(), self.project
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

    def take_down(self, host: Host) -> None:
        """End Ray on a host."""
        host.run(RAY, "stop", "--force")
        self.nodes.remove(host)

    def launch_job(self, *arguments: object) -> Going:
        """Start launch-job on the head."""
        return Going(self.head.ssh(sys.executable, "-m", "orchestrator", *arguments))


class Going:
    """A command that goes on while a test does something to its hosts."""

    def __init__(self, command: list[str]) -> None:
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._said: list[str] = []
        self._printed: list[str] = []
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        # Both are read all the time: who writes into a full pipe waits for ever.
        both = (self._hear, self._read)
        self._listeners = [threading.Thread(target=listen, daemon=True) for listen in both]
        for listener in self._listeners:
            listener.start()

    def _hear(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as said:
            for line in said:
                self._lines.put(line)
        self._lines.put(None)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as printed:
            self._printed.append(printed.read())

    def await_line(self, part: str, *, timeout: float = 120) -> str:
        """Wait until it says something; return the line."""
        while True:
            try:
                line = self._lines.get(timeout=timeout)
            except queue.Empty:
                raise AssertionError(f"no {part!r} in:\n{''.join(self._said)}") from None
            if line is None:
                raise AssertionError(f"it ended before {part!r}:\n{''.join(self._said)}")
            self._said.append(line)
            if part in line:
                return line

    def interrupt(self) -> None:
        """Have it end, as Ctrl-C does."""
        self._process.send_signal(signal.SIGINT)

    def drop(self) -> str:
        """End the command if it hasn't ended; return what it printed."""
        self._process.kill()
        self._process.wait()
        for listener in self._listeners:
            listener.join()
        while (line := self._lines.get()) is not None:
            self._said.append(line)
        return "".join(self._printed)

    def end(self, code: int = 0, *, timeout: float = 200) -> tuple[str, str]:
        """Wait for its end; return what it printed and what it said."""
        try:
            ended: int | None = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            ended = None
        printed = self.drop()
        said = "".join(self._said)
        assert ended == code, f"{ended}: {said}"
        return printed, said
