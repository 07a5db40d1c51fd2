"""The faults: each is done to a world at a moment, and undone if it is one that passes."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from world import World, isolated

#: Where each kind of process is found.
TARGETS = {
    "worker": ("ray::RayTrainWorker",),
    "controller": ("ray::TrainController",),
    "raylet": ("/raylet/raylet",),
}

#: How long something passing lasts, in seconds.
SHORT, LONG = 2.0, 12.0


@dataclass(frozen=True)
class Fault:
    """Something that happens to a run."""

    name: str
    #: Does it; returns False if there was nothing to do it to.
    strike: Callable[[World, random.Random], bool]


def _signalled(target: str, number: signal.Signals) -> Fault:
    def strike(world: World, chance: random.Random) -> bool:
        pids = _pids(world, target)
        return bool(pids) and _send(chance.choice(pids), number)

    return Fault(f"{number.name} {target}", strike)


def _paused(target: str) -> Fault:
    def strike(world: World, chance: random.Random) -> bool:
        pids = _pids(world, target)
        if not pids:
            return False
        pid = chance.choice(pids)
        _send(pid, signal.SIGSTOP)
        time.sleep(chance.choice((SHORT, LONG)))
        return _send(pid, signal.SIGCONT) or True

    return Fault(f"SIGSTOP {target}", strike)


def _network_cut(world: World, chance: random.Random) -> bool:
    _link("down")
    time.sleep(chance.choice((SHORT, LONG)))
    _link("up")
    return True


def _disk_full(world: World, chance: random.Random) -> bool:
    filler = world.storage / ".filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 65536)
        except OSError:
            pass
    time.sleep(chance.choice((SHORT, LONG)))
    filler.unlink()
    return True


def _read_only(world: World, chance: random.Random) -> bool:
    """Every write fails, since the folders can't be written; files that are open can."""
    # Made aside, and only then put over the storage: where a file has been opened to be written, a
    # mount can't become read-only any more.
    aside = world.folder / "read-only"
    aside.mkdir()
    done = subprocess.run(["mount", "--bind", world.storage, aside], check=False)
    if done.returncode:
        aside.rmdir()
        return False
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", aside], check=True)
        subprocess.run(["mount", "--bind", aside, world.storage], check=True)
    finally:
        subprocess.run(["umount", aside], check=True)
        aside.rmdir()
    time.sleep(chance.choice((SHORT, LONG)))
    subprocess.run(["umount", "-l", world.storage], check=True)
    return True


def _damaged_checkpoint(world: World, chance: random.Random) -> bool:
    """The newest checkpoints are damaged while nobody runs; the driver is killed for it."""
    run, launcher = world.run, world.launcher
    if run is None or launcher is None or launcher.poll() is not None:
        return False
    launcher.kill()
    launcher.wait()
    world.end()
    checkpoints = sorted((run / "checkpoints").glob("epoch-*"))
    if len(checkpoints) < 2:
        return True
    damage = chance.choice((_flip, _truncate, _lose_manifest, _half_written))
    damage(checkpoints[-1])
    return True


def _flip(checkpoint: Path) -> None:
    path = checkpoint / "arrays.npz"
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 4
    path.write_bytes(data)


def _truncate(checkpoint: Path) -> None:
    path = checkpoint / "arrays.npz"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _lose_manifest(checkpoint: Path) -> None:
    (checkpoint / "manifest.json").unlink()


def _half_written(checkpoint: Path) -> None:
    for number in range(2):
        half = checkpoint.parent / f".{checkpoint.name}.{number}"
        shutil.copytree(checkpoint, half)
        (half / "manifest.json").unlink()


def _pids(world: World, target: str) -> list[int]:
    if target == "driver":
        running = world.launcher is not None and world.launcher.poll() is None
        return [world.launcher.pid] if running and world.launcher else []
    return world.processes(*TARGETS[target])


def _send(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _link(state: str) -> None:
    subprocess.run(["ip", "link", "set", "lo", state], check=True)


def all_faults() -> tuple[list[Fault], list[str]]:
    """Return the faults that can be done here, and the names of those that can't."""
    targets = (*TARGETS, "driver")
    anywhere = [_signalled(target, signal.SIGKILL) for target in targets]
    anywhere += [_signalled(target, signal.SIGTERM) for target in targets]
    anywhere += [_paused(target) for target in targets]
    anywhere.append(Fault("damaged checkpoint", _damaged_checkpoint))
    own = [
        Fault("network cut", _network_cut),
        Fault("disk full", _disk_full),
        Fault("storage read-only", _read_only),
    ]
    return (anywhere + own, []) if isolated() else (anywhere, [fault.name for fault in own])
