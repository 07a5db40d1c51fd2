"""launch-job logs RUN: what the ranks and the driver of a run have printed."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import click

from orchestrator.cli.options import SinceType, run_argument, storage_option
from orchestrator.errors import UsageError
from orchestrator.records.log_times import place_at
from orchestrator.storage.run_folder import RunFolder
from orchestrator.storage.storage import Storage


class RankType(click.ParamType[str]):
    """A rank's number, or `driver`."""

    name = "rank|driver"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return it."""
        if value != "driver" and not value.isdecimal():
            self.fail(f"{value!r} is neither a rank nor 'driver'.", param, ctx)
        return value


@click.command(
    epilog="\b\nExamples:\n  launch-job logs latest --rank 0 --tail 50"
    "\n  launch-job logs -f 4f2a1c\n  launch-job logs latest --since 10m --rank driver"
)
@run_argument
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends, with its exit code.")
@click.option("--rank", type=RankType(), help="Of this rank only, or of the driver.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="The last N lines of each.")
@click.option("--since", type=SinceType(), help="Printed since: 30m, 12h, 7d or 2026-11-01.")
@storage_option
def logs(
    run: str,
    follow: bool,
    rank: str | None,
    tail: int | None,
    since: datetime | None,
    storage: Storage,
) -> None:
    """Print what RUN has printed: all ranks and the driver, each line after its name.

    Logs lie in the run's folder: they outlive the cluster.
    """
    folder = storage.find_run(run)
    printer = LogPrinter(folder, rank=rank, tail=tail, since=since)
    if not follow:
        printer.print_new()
        if not printer.found and rank is not None:
            raise UsageError(
                f"Run {folder.run_id} has no log of {_name(rank)}.",
                hint=f"There are: {', '.join(p.stem for p in _all(folder)) or 'none yet'}.",
            )
        return
    from orchestrator.cli.follow import follow_run
    from orchestrator.observer import Observer

    def pause(seconds: float) -> None:
        printer.print_new()
        time.sleep(seconds)

    try:
        follow_run(folder, Observer(), pause=pause)
    finally:
        printer.print_new()


class LogPrinter:
    """Prints the lines of a run's logs to standard output, and later those that were added.

    Args:
        run: The run.
        rank: Number of a rank, or `driver`; all of them if none is given.
        tail: Of what a log has when it is first looked at, only the last lines.
        since: Only what was printed since then.
    """

    def __init__(
        self, run: RunFolder, *, rank: str | None, tail: int | None, since: datetime | None
    ) -> None:
        self._run = run
        self._rank = rank
        self._tail = tail
        self._since = since
        self._growing: dict[Path, GrowingFile] = {}

    @property
    def found(self) -> bool:
        """Whether there was a log."""
        return bool(self._growing)

    def print_new(self) -> None:
        """Print what was added since the last call."""
        for path in self._paths():
            new = path not in self._growing
            if new:
                start = place_at(self._run.log_times(path), self._since) if self._since else 0
                self._growing[path] = GrowingFile(path, start=start)
            lines: Iterator[str] | deque[str] = self._growing[path].new_lines()
            if new and self._tail is not None:
                lines = deque(lines, maxlen=self._tail)
            for line in lines:
                click.echo(line if self._rank is not None else f"{path.stem}: {line}")

    def _paths(self) -> list[Path]:
        if self._rank is None:
            return _all(self._run)
        driver = self._rank == "driver"
        path = self._run.driver_log if driver else self._run.rank_log(int(self._rank))
        return [path] if path.is_file() else []


class GrowingFile:
    """Reads the lines of a file that grows.

    Args:
        path: The file.
        start: Byte to begin at.
    """

    def __init__(self, path: Path, *, start: int = 0) -> None:
        self._path = path
        self._place = start

    def new_lines(self) -> Iterator[str]:
        """Yield the whole lines that came since the last call, without their ends."""
        with self._path.open("rb") as file:
            file.seek(self._place, os.SEEK_SET)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._place += len(line)
                yield line.decode(errors="replace").rstrip()


def _all(run: RunFolder) -> list[Path]:
    driver = [run.driver_log] if run.driver_log.is_file() else []
    return [*driver, *run.rank_logs()]


def _name(rank: str) -> str:
    return "its driver" if rank == "driver" else f"rank {rank}"
