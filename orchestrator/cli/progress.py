"""A run as people follow it: a bar on a terminal, a line an epoch in a pipe."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.terminal import chatter
from orchestrator.figures import duration, fixed, percent
from orchestrator.observer import Observer
from orchestrator.states import RunState
from orchestrator.storage.run_folder import RunFolder
from orchestrator.training.mailbox import Update

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

#: A bar for work in bytes or rows appears when it is this large.
_WORTH_A_BAR = 1_000_000


class TerminalProgress(Observer):
    """Shows a run on standard error.

    Args:
        verbose: Show the logs of all ranks as well.
    """

    def __init__(self, *, verbose: bool = False) -> None:
        self._verbose = verbose
        self._logs: LogTail | None = None
        self._bar: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._epochs = self._rows = self._steps = 0
        self._pace = Pace()
        self._known: str | None = None

    def note(self, text: str) -> None:
        """Print a warning in colour."""
        chatter().print(f"Note: {text}", style="bold yellow", markup=False)

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Show a download, or a preparation that takes a while."""
        if chatter().is_terminal and (total is None or total > _WORTH_A_BAR):
            self._advance(what, done, total, "")

    def submitted(self, run: RunFolder, *, cluster: str, sent: str, installs: bool) -> None:
        """Say what was sent where, and what the cluster does with it first."""
        chatter().print(f"Sent {sent} to {cluster}", style="dim", markup=False)
        chatter().print(f"Run [bold]{run.run_id}[/]")
        self._known = run.run_id
        if installs:
            chatter().print(
                "The cluster installs requirements.lock: minutes the first time, then it is kept …",
                style="dim",
            )

    def began(self, run: RunFolder, *, epochs: int, rows: int, steps_per_epoch: int) -> None:
        """Say which run it is."""
        self._epochs, self._rows, self._steps = epochs, rows, steps_per_epoch
        if self._known != run.run_id:
            chatter().print(f"Run [bold]{run.run_id}[/]")
        if self._verbose:
            self._logs = LogTail(run.logs)

    def entered(self, state: RunState) -> None:
        """Say what happens next, where it takes a while."""
        if state is RunState.PREPARING:
            chatter().print("Preparing data, starting Ray …", style="dim")
        if state is RunState.RUNNING:
            chatter().print("Starting workers …", style="dim")
        if state.finished:
            self.close()

    def dashboard(self, address: str) -> None:
        """Print the dashboard's address, and where its token is."""
        from orchestrator.cluster.token import token_path

        chatter().print(
            f"Dashboard [link=http://{address}]http://{address}[/]"
            f" [dim](its token: {token_path()})[/]"
        )

    def update(self, update: Update) -> None:
        """Show a step or an epoch."""
        if self._logs is not None:
            self._logs.print_new()
        rate = self._pace.rows_per_s(update, rows=self._rows, steps=self._steps)
        if update.kind in ("step", "first_step") and chatter().is_terminal:
            self._show_step(update, rate)
        if update.kind == "epoch":
            self._show_epoch(update)
        if update.kind == "ready":
            self._pace = Pace()  # Training may go on from an earlier place.
        if update.kind == "stopping":
            chatter().print("Stopping at the next step (Ctrl-C again: at once) …", style="yellow")
        if update.kind == "evaluating":
            chatter().print("Evaluating …", style="dim")

    def close(self) -> None:
        """Take the bar away."""
        if self._logs is not None:
            self._logs.print_new()
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
            self._tasks.clear()

    def _show_step(self, update: Update, rate: float | None) -> None:
        if update.epoch >= self._epochs:
            return
        figures = [_metrics(update.metrics)] if update.metrics else []
        if rate is not None:
            left = self._rows * self._epochs - self._rows * (
                update.epoch + update.step / self._steps
            )
            figures += [f"{rate:,.0f} rows/s", f"{duration(left / rate)} left"]
        done = update.epoch * self._steps + update.step
        what = f"Epoch {update.epoch + 1}/{self._epochs}"
        self._advance("train", done, self._epochs * self._steps, " · ".join(figures), shown=what)

    def _show_epoch(self, update: Update) -> None:
        metrics = dict(update.metrics)
        epoch, seconds = int(metrics.pop("epoch")), metrics.pop("seconds")
        rows_per_s = metrics.pop("rows_per_s")
        chatter().print(
            f"Epoch {epoch}/{self._epochs}  {_metrics(metrics)}  "
            f"{rows_per_s:,.0f} rows/s  {duration(seconds)}"
        )

    def _advance(
        self, key: str, done: int, total: int | None, figures: str, *, shown: str | None = None
    ) -> None:
        if self._bar is None:
            self._bar = _bar()
            self._bar.start()
        if key not in self._tasks:
            for task in self._tasks.values():
                self._bar.remove_task(task)
            self._tasks = {key: self._bar.add_task(shown or key, total=total, figures="")}
        self._bar.update(
            self._tasks[key],
            description=shown or key,
            completed=done,
            total=total,
            figures=figures,
        )


class Pace:
    """Rows a second, from the last two updates that tell a position."""

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None
        self._rate: float | None = None

    def rows_per_s(self, update: Update, *, rows: int, steps: int) -> float | None:
        """Return the smoothed rate, or None before there is one.

        Args:
            update: The newest update.
            rows: Rows of an epoch.
            steps: Steps of an epoch.
        """
        if update.kind not in ("first_step", "step"):
            return self._rate
        place = rows * (update.epoch + update.step / steps)
        if self._last is None:
            self._last = (update.time_s, place)
        elif update.time_s > self._last[0] and place > self._last[1]:
            rate = (place - self._last[1]) / (update.time_s - self._last[0])
            self._rate = rate if self._rate is None else 0.7 * self._rate + 0.3 * rate
            self._last = (update.time_s, place)
        return self._rate


class LogTail:
    """Prints what is added to the logs of the ranks.

    Args:
        folder: Folder of the logs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}

    def print_new(self) -> None:
        """Print the lines that were added since the last call."""
        for path in sorted(self._folder.glob("rank-*.log")):
            with path.open(errors="replace") as file:
                file.seek(self._read.get(path, 0), os.SEEK_SET)
                for line in file:
                    chatter().print(f"{path.stem}: {line.rstrip()}", style="dim", markup=False)
                self._read[path] = file.tell()


def _metrics(metrics: Mapping[str, float]) -> str:
    """Return the metrics as text, loss first."""
    ordered = sorted(metrics, key=lambda name: (name != "loss", name != "accuracy", name))
    texts = ((name, (percent if name == "accuracy" else fixed)(metrics[name])) for name in ordered)
    return "  ".join(f"{name} {text}" for name, text in texts)


def _bar() -> Progress:
    from rich.progress import BarColumn, Progress, TextColumn

    return Progress(
        TextColumn("{task.description}"),
        # With the figures, it fits into 80 columns.
        BarColumn(bar_width=10),
        TextColumn("{task.fields[figures]}"),
        console=chatter(),
        transient=True,
    )
