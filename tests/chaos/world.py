"""A place of its own for each run of the campaign: project, storage, network and processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

#: Room for the run, its shards and Ray's logs; a full disk is this much filled up.
STORAGE_MB = 96

EPOCHS = 90

JOB = f"""
from orchestrator import job


@job(dataset="digits", epochs={EPOCHS}, batch_size=32)
def steady():
    import keras

    layers = [
        keras.layers.Rescaling(1 / 255),
        keras.layers.Flatten(),
        keras.layers.Dense(32, activation="relu"),
        keras.layers.Dropout(0.2),
        keras.layers.Dense(10, activation="softmax"),
    ]
    return keras.Sequential([keras.Input((28, 28)), *layers])
"""

ASKED = ("steady", "--workers", "2", "--checkpoint-every", "20", "--retries", "100")


def isolated() -> bool:
    """Whether this process has mounts and a network of its own, to break as it likes."""
    return os.environ.get("LAUNCH_JOB_CHAOS_ISOLATED") == "1"


def isolate(argv: Sequence[str]) -> None:
    """Start this program again in namespaces of its own, if that is allowed here."""
    if isolated() or not shutil.which("unshare") or not shutil.which("ip"):
        return
    apart = ["unshare", "--mount", "--net", "--", "sh", "-c"]
    allowed = subprocess.run(
        [*apart, "ip link set lo up && mount -t tmpfs tmpfs /mnt"], capture_output=True
    )
    if allowed.returncode:
        return
    inside = f"ip link set lo up && exec {sys.executable} {' '.join(argv)}"
    os.environ["LAUNCH_JOB_CHAOS_ISOLATED"] = "1"
    os.execvp("unshare", [*apart, inside])


@dataclass
class World:
    """One run's surroundings."""

    folder: Path
    #: The launcher that drives the run now.
    launcher: subprocess.Popen[bytes] | None = None

    @classmethod
    def make(cls, folder: Path) -> World:
        """Make a project that has the campaign's job."""
        world = cls(folder)
        (folder / "home").mkdir(parents=True)
        (folder / "jobs").mkdir()
        (folder / "jobs" / "steady.py").write_text(JOB)
        (folder / "cluster.yaml").write_text("cluster_name: chaos\n")
        world.storage.mkdir()
        if isolated():
            options = f"size={STORAGE_MB}m"
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", options, "tmpfs", world.storage], check=True
            )
        return world

    @property
    def storage(self) -> Path:
        return self.folder / "store"

    @property
    def environment(self) -> dict[str, str]:
        dropped = ("LAUNCH_JOB_STORAGE", "LAUNCH_JOB_DATA", "RAY_", "XDG_CACHE_HOME")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
        return {
            **kept,
            "HOME": str(self.folder / "home"),
            "RAY_AUTH_TOKEN_PATH": str(self.folder / "home" / "token"),
            "LAUNCH_JOB_STORAGE": str(self.storage),
            "PYTHONPATH": str(ROOT),
        }

    @property
    def run(self) -> Path | None:
        """The folder of the run, once there is one."""
        found = list(self.storage.glob("runs/*/spec.json"))
        return found[0].parent if found else None

    def launch(self, *args: str) -> None:
        """Start the command, without waiting for it."""
        with (self.folder / "launcher.log").open("ab") as log:
            log.write(f"--- launch-job {' '.join(args)}\n".encode())
            self.launcher = subprocess.Popen(
                [sys.executable, "-m", "orchestrator", *args],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def events(self) -> list[dict[str, Any]]:
        """Return the run's events so far."""
        run = self.run
        if run is None or not (run / "events.jsonl").exists():
            return []
        found = []
        for line in (run / "events.jsonl").read_text(errors="replace").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def state(self) -> str | None:
        """Return the state that was written last."""
        states = [e["state"] for e in self.events() if e["event"] == "state"]
        return states[-1] if states else None

    def report(self) -> dict[str, Any] | None:
        """Return the run's report, if it has one."""
        path = self.run / "report.json" if self.run else None
        return json.loads(path.read_text()) if path and path.exists() else None

    def weights(self) -> bytes:
        """Return the bytes of the trained weights."""
        assert self.run is not None
        with zipfile.ZipFile(self.run / "model.keras") as model:
            return model.read("model.weights.h5")

    def processes(self, *titles: str) -> list[int]:
        """Return the processes of this world whose command line begins with, or has, a title."""
        mark = f"LAUNCH_JOB_STORAGE={self.storage}".encode()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                mine = mark in (process / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if mine and line and (not titles or any(title in line for title in titles)):
                found.append(int(process.name))
        return sorted(found)

    def end(self, *, patience_s: float = 20.0) -> list[int]:
        """End whatever still runs; return what had not ended by itself in time."""
        deadline = time.monotonic() + patience_s
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.2)
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return left

    def remove(self) -> None:
        """Remove it from the disk."""
        if isolated():
            subprocess.run(["umount", "-l", self.storage], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)
