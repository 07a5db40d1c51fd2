"""The fault campaign: small runs, struck at random moments, judged at their end.

    python tests/chaos/campaign.py --faults 200 --seed 1

Each run is struck several times. Whenever its launcher has ended without success, it is taken up
again with `launch-job resume`, as its user would do. It has to end with the weights of a run that
was left alone and with one result, or to say why it failed; and nothing of it may be left running.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from faults import Fault, all_faults
from verdict import complaints, named
from world import ASKED, World, isolate

#: Faults of one run.
FAULTS_PER_RUN = 7

#: Progress so soon after a fault may still be that of the workers it has struck.
AFTERGLOW_S = 5.0

#: A launcher that shows no sign of progress for so long hangs.
PATIENCE_S = 150.0

#: Attempts to take a run up, after each of which something else may be wrong.
RESUMES = 8


@dataclass
class Strike:
    """One fault, and what came of it."""

    run: int
    fault: str
    #: What had happened last when it struck.
    moment: str
    outcome: str = ""
    #: From the fault to the next progress.
    recovery_s: float = 0.0


class HungError(Exception):
    """A run shows no progress."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    isolate(sys.argv)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    kinds, missing = all_faults()
    if missing:
        print(f"Left out, since they need root: {', '.join(missing)}.")
    with tempfile.TemporaryDirectory(prefix="launch-job-chaos-") as folder:
        strikes, defects = campaign(Path(folder), args.faults, args.seed, kinds)
        # What a defect has left may keep the folder from being removed.
        print_table(strikes)
        for defect in defects:
            print(f"DEFECT {defect}")
        print(f"{len(strikes)} faults, {len(defects)} defects, seed {args.seed}", flush=True)
        if args.json:
            args.json.write_text(json.dumps([asdict(s) for s in strikes], indent=2))
    return 1 if defects else 0


def campaign(
    folder: Path, faults: int, seed: int, kinds: list[Fault]
) -> tuple[list[Strike], list[str]]:
    """Strike so many times; return each strike and what was wrong."""
    weights = undisturbed(folder / "undisturbed")
    strikes: list[Strike] = []
    defects: list[str] = []
    chance = random.Random(seed)
    # Each kind comes up as often as the others, in a random order.
    order = [kind for _ in range(-(-faults // len(kinds))) for kind in _shuffled(kinds, chance)]
    number = 0
    while order and len(strikes) < faults:
        number += 1
        wanted = min(FAULTS_PER_RUN, faults - len(strikes))
        plan, order = order[:wanted], order[wanted:]
        world = World.make(folder / f"run-{number}")
        began = time.monotonic()
        try:
            mine, wrong = strike_run(world, number, plan, chance, weights)
        except BaseException:
            # The campaign itself is ended: nothing of it stays.
            world.end(patience_s=0)
            world.remove()
            raise
        strikes += mine
        # A run may end before all of its faults have struck: the others are for the next ones.
        order = plan[len(mine) :] + order
        defects += [f"run {number} ({', '.join(s.fault for s in mine)}): {w}" for w in wrong]
        print(
            f"run {number}: {len(strikes)}/{faults} faults, {time.monotonic() - began:.0f} s"
            f"{': ' + '; '.join(wrong) if wrong else ''}",
            flush=True,
        )
        if wrong:
            kept = Path(tempfile.gettempdir()) / f"launch-job-defect-{seed}-{number}"
            keep(world, kept)
        world.remove()
    return strikes, defects


def undisturbed(folder: Path) -> bytes:
    """Return the weights of a run that is left alone."""
    world = World.make(folder)
    world.launch(*ASKED)
    assert world.launcher is not None
    code = world.launcher.wait(timeout=300)
    if code:
        raise SystemExit((folder / "launcher.log").read_text())
    world.end()
    weights = world.weights()
    world.remove()
    return weights


def strike_run(
    world: World, number: int, plan: list[Fault], chance: random.Random, weights: bytes
) -> tuple[list[Strike], list[str]]:
    """Do a run, striking it as planned; return the strikes and what is wrong with it."""
    strikes: list[Strike] = []
    wrong: list[str] = []
    world.launch(*ASKED)
    try:
        for fault in plan:
            await_moment(world, chance)
            if world.state() == "SUCCEEDED":
                break
            strike = Strike(run=number, fault=fault.name, moment=last_event(world))
            seen, began = len(world.events()), time.monotonic()
            if not fault.strike(world, chance):
                continue
            strikes.append(strike)
            strike.outcome = recover(world, seen)
            strike.recovery_s = time.monotonic() - began
            print(
                f"  {fault.name} after {strike.moment!r}: {strike.outcome}, "
                f"{strike.recovery_s:.1f} s",
                flush=True,
            )
        finish(world)
    except HungError as err:
        wrong.append(f"hung: {err}")
    except Exception as err:  # noqa: BLE001 - whatever it is, the campaign goes on, and tells
        wrong.append(f"{type(err).__name__}: {err}")
    left = world.end()
    if left and not wrong:
        wrong.append(f"{len(left)} processes were left")
    if not wrong:
        wrong = complaints(world, weights)
    return strikes, wrong


def await_moment(world: World, chance: random.Random) -> None:
    """Wait until the run is somewhere in its life: mostly while it trains, at times before."""
    anywhere = chance.random() < 0.25
    until = time.monotonic() + chance.uniform(1, 10)
    while not (anywhere and time.monotonic() > until):
        if ended(world):
            return
        if not anywhere and last_event(world) in ("epoch", "checkpoint", "first_step"):
            break
        check_patience(world, until)
        time.sleep(0.05)
    time.sleep(chance.uniform(0, 1.5))


def recover(world: World, seen: int) -> str:
    """Wait for the next progress, taking the run up if its launcher ends; say how it went."""
    began, how = time.monotonic(), "went on"
    for _ in range(RESUMES):
        while not ended(world):
            new = [e["event"] for e in world.events()[seen:]]
            if "restart" in new:
                seen, how = len(world.events()), "restarted" if how == "went on" else how
                continue
            settled = how != "went on" or time.monotonic() - began > AFTERGLOW_S
            if settled and ("epoch" in new or "checkpoint" in new):
                return how
            check_patience(world, began)
            time.sleep(0.05)
        if world.state() == "SUCCEEDED":
            return "succeeded" if how == "went on" else how
        how, seen = resume(world), len(world.events())
    raise HungError(f"{RESUMES} resumptions did not help")


def finish(world: World) -> None:
    """Wait for the end, taking the run up as often as it takes."""
    for _ in range(RESUMES):
        began = time.monotonic()
        while not ended(world):
            check_patience(world, began)
            time.sleep(0.1)
        if world.state() == "SUCCEEDED":
            return
        resume(world)
    raise HungError(f"{RESUMES} resumptions did not help")


def resume(world: World) -> str:
    """Take a run up whose launcher has ended; say how it had ended."""
    state = world.state()
    if state == "FAILED" and named(world) is None:
        raise RuntimeError("FAILED without a cause")
    if state == "FAILED":
        print(f"  FAILED: {(world.report() or {})['error']['message'][:200]}", flush=True)
    how = f"FAILED ({named(world)}), resumed" if state == "FAILED" else f"{state}, resumed"
    world.end()
    if world.run is None:
        world.launch(*ASKED)  # It had not begun.
    else:
        world.launch("resume", world.run.name)
    return how if state in ("FAILED", "STOPPED") else "LOST, resumed"


def ended(world: World) -> bool:
    return world.launcher is None or world.launcher.poll() is not None


def last_event(world: World) -> str:
    events = world.events()
    return str(events[-1]["event"]) if events else "start"


def check_patience(world: World, since: float) -> None:
    """Raise if nothing has happened for too long."""
    run = world.run
    log = run / "events.jsonl" if run else None
    quiet = time.monotonic() - since
    if log and log.exists():
        quiet = min(quiet, time.time() - log.stat().st_mtime)
    if quiet > PATIENCE_S:
        raise HungError(f"no progress for {PATIENCE_S:.0f} s after {last_event(world)!r}")


def keep(world: World, target: Path) -> None:
    """Keep what a defect left, for whoever looks into it."""
    import shutil

    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(world.folder, target, ignore_dangling_symlinks=True)
    print(f"  kept in {target}")


def print_table(strikes: list[Strike]) -> None:
    """Print, for each fault, how often it struck, what came of it and how long that took."""
    groups: dict[str, list[Strike]] = defaultdict(list)
    for strike in strikes:
        groups[strike.fault].append(strike)
    print(f"\n{'fault':<22}{'times':>6}{'median':>9}{'worst':>9}  outcomes")
    for name, group in sorted(groups.items()):
        took = [strike.recovery_s for strike in group]
        outcomes: dict[str, int] = defaultdict(int)
        for strike in group:
            outcomes[strike.outcome or "not recovered"] += 1
        told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
        print(
            f"{name:<22}{len(group):>6}{statistics.median(took):>7.1f} s{max(took):>7.1f} s  {told}"
        )


def _shuffled(kinds: list[Fault], chance: random.Random) -> list[Fault]:
    return chance.sample(kinds, len(kinds))


if __name__ == "__main__":
    sys.exit(main())
