"""launch-job cluster start, stop: an embedded Ray that is kept for the next run."""

from __future__ import annotations

import re
from typing import Any

import click

from orchestrator.cli.options import output_option
from orchestrator.cli.terminal import chatter, print_json
from orchestrator.figures import duration

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smh]?)")
_UNIT_S = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


class DurationType(click.ParamType[float]):
    """A length of time: `45s`, `30m`, `2h`."""

    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Return it in seconds."""
        if isinstance(value, float):
            return value
        found = _DURATION.fullmatch(value)
        if found is None or not float(found[1]):
            self.fail(f"{value!r} is not a length of time; use 45s, 30m or 2h.", param, ctx)
        return float(found[1]) * _UNIT_S[found[2]]


@click.command(
    epilog="\b\nExamples:\n  launch-job cluster start"
    "\n  launch-job cluster start --idle 2h\n  launch-job cluster stop"
)
@click.option(
    "--idle",
    "idle_s",
    type=DurationType(),
    default="30m",
    show_default=True,
    help="End it after so long without a run.",
)
@output_option
def start(idle_s: float, output: str) -> None:
    """Keep a warm cluster: Ray is up and TensorFlow imported, and the next run starts at once.

    Runs of yours on this machine find it by themselves, unless --address names another cluster. It
    is as closed as the Ray that a run brings: it asks for your token, and its dashboard listens on
    this machine only. It ends by itself when no run has come for a while.
    """
    from orchestrator.cluster.warm_control import start_warm

    with chatter().status("Starting Ray and importing TensorFlow …"):
        found, is_new = start_warm(idle_s)
    if output == "json":
        print_json(found.to_dict())
        return
    chatter().print(
        f"The warm cluster {'is up' if is_new else 'was up already'} (Ray at {found.address}, "
        f"dashboard http://{found.dashboard}).",
        markup=False,
    )
    chatter().print("Use it:  launch-job lstm-mnist --workers 2    (runs find it by themselves)")
    chatter().print(
        f"End it:  launch-job cluster stop    (by itself after {duration(found.idle_s)} "
        "without a run)"
    )


@click.command(epilog="\b\nExamples:\n  launch-job cluster stop\n  launch-job cluster stop --now")
@click.option("--now", is_flag=True, help="Also if a run is on it, which then fails.")
def stop(now: bool) -> None:
    """End the warm cluster of this machine."""
    from orchestrator.cluster.warm_control import stop_warm

    was_up = stop_warm(now=now)
    chatter().print("The warm cluster has ended." if was_up else "There is no warm cluster.")
