"""How every benchmark here measures: contestants take turns, and the ratio of a round counts.

Two cores that other work shares give times that drift by half. So contestants run one after the
other in each round, the order turns with every round, and what is judged is the median of the
rounds' ratios: whatever slows a round slows both of its sides.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

Value = TypeVar("Value")

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / "benchmarks" / "peers"
RESULTS = ROOT / "benchmarks" / "results"
LAUNCH_JOB = Path(sys.executable).with_name("launch-job")


@dataclass(frozen=True, kw_only=True)
class Spread:
    """What several rounds gave."""

    #: Half of the rounds gave less.
    median: float
    #: Least of all rounds.
    min: float
    #: Most of all rounds.
    max: float
    #: Number of rounds.
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Summarize values, at least one."""
        return cls(
            median=statistics.median(values), min=min(values), max=max(values), rounds=len(values)
        )


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the median of the rounds' ratios has to reach."""

    #: The bound.
    bound: float
    #: Whether more is better; otherwise less is.
    at_least: bool

    def met(self, ratio: Spread) -> bool:
        """Return whether the median keeps the bound."""
        return ratio.median >= self.bound if self.at_least else ratio.median <= self.bound

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.bound:.2f}"


def find_mnist() -> Path:
    """Return the folder of MNIST's four IDX files, or end with exit code 2 if there is none."""
    named = os.environ.get("LAUNCH_JOB_DATA_DIR")
    folder = Path(named) if named else ROOT.parent / "shared" / "mnist"
    if not (folder / "train-images-idx3-ubyte.gz").is_file():
        print(
            f"MNIST isn't in {folder}.\nName the folder of its four .gz files with "
            "LAUNCH_JOB_DATA_DIR.",
            file=sys.stderr,
        )
        raise SystemExit(2)
    return folder.resolve()


def take_turns(
    contestants: Mapping[str, Callable[[], Value]], rounds: int
) -> dict[str, list[Value]]:
    """Run every contestant once a round; who begins turns with the round.

    Returns:
        What each contestant returned, by round.
    """
    names = list(contestants)
    found: dict[str, list[Value]] = {name: [] for name in names}
    for index in range(rounds):
        first = index % len(names)
        for name in names[first:] + names[:first]:
            print(f"round {index + 1} of {rounds}: {name}", file=sys.stderr, flush=True)
            found[name].append(contestants[name]())
    return found


def compare(ours: Sequence[float], peer: Sequence[float]) -> Spread:
    """Return the ratios ours / peer, round by round."""
    return Spread.of([a / b for a, b in zip(ours, peer, strict=True)])


def run_json(command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> Any:
    """Run a command and return the JSON on its standard output.

    Raises:
        SystemExit: It failed; what it said last is on standard error.
    """
    text = run_text(command, env)
    return json.loads(text[text.index("{") :])


def run_text(command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> str:
    """Run a command to its end and return its standard output.

    Raises:
        SystemExit: It failed; what it said last is on standard error.
    """
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(done.stderr[-4000:], file=sys.stderr)
        raise SystemExit(f"{command[0]} ended with exit code {done.returncode}.")
    return done.stdout


def show(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, numbers to the right."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    print(f"\n{title}")
    for row in (header, *rows):
        _, *rest = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join([row[0].ljust(widths[0]), *rest]).rstrip())


def report(
    name: str,
    unit: str,
    values: Mapping[str, Sequence[float]],
    targets: Mapping[tuple[str, str], Target | None],
) -> int:
    """Print what was measured and how it compares; keep it in results/ as JSON.

    Args:
        name: Name of the benchmark.
        unit: What the values are, such as `rows/s`.
        values: Of each contestant, a value a round.
        targets: For each pair (ours, peer), what the ratio of its values has to reach; None: it
            is shown for information.

    Returns:
        0 if every target is met, else 1: the exit code.
    """
    spreads = {who: Spread.of(rounds) for who, rounds in values.items()}
    show(
        f"{name}: {unit}",
        ("", "median", "min", "max"),
        [(who, *(f"{v:,.2f}" for v in (s.median, s.min, s.max))) for who, s in spreads.items()],
    )
    ratios = {pair: compare(values[pair[0]], values[pair[1]]) for pair in targets}
    if ratios:
        show(
            "ratios, round by round",
            ("", "median", "min", "max", "target", ""),
            [_verdict(pair, ratio, targets[pair]) for pair, ratio in ratios.items()],
        )
    _keep(name, unit, values, ratios)
    met = all(target is None or target.met(ratios[pair]) for pair, target in targets.items())
    return 0 if met else 1


def _verdict(pair: tuple[str, str], ratio: Spread, target: Target | None) -> tuple[str, ...]:
    numbers = (f"{v:.2f}" for v in (ratio.median, ratio.min, ratio.max))
    word = "" if target is None else "met" if target.met(ratio) else "MISSED"
    return (" / ".join(pair), *numbers, str(target or "-"), word)


def _keep(
    name: str,
    unit: str,
    values: Mapping[str, Sequence[float]],
    ratios: Mapping[tuple[str, str], Spread],
) -> None:
    RESULTS.mkdir(exist_ok=True)
    kept = {
        "benchmark": name,
        "unit": unit,
        "cores": os.cpu_count(),
        "values": values,
        "ratios": {" / ".join(pair): asdict(ratio) for pair, ratio in ratios.items()},
    }
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(kept, indent=2) + "\n")
    print(f"\nkept in {path.relative_to(ROOT)}")
