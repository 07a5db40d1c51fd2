"""Whoever watches a run: the terminal, a test, or nobody."""

from __future__ import annotations

from orchestrator.states import RunState
from orchestrator.storage.run_folder import RunFolder
from orchestrator.training.mailbox import Update


class Observer:
    """Told what happens in a run, in the driver's process. This one does nothing with it."""

    def note(self, text: str) -> None:
        """A sentence that the user should read, such as a fallback."""

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Work before training went on, such as a download in bytes or a preparation in rows."""

    def submitted(self, run: RunFolder, *, cluster: str, sent: str, installs: bool) -> None:
        """A cluster has taken a run, and with it, in words, what of the project.

        It may have to install packages before anything of the run can begin.
        """

    def began(self, run: RunFolder, *, epochs: int, rows: int, steps_per_epoch: int) -> None:
        """A run has its folder."""

    def entered(self, state: RunState) -> None:
        """The run entered a state."""

    def dashboard(self, address: str) -> None:
        """The Ray dashboard is up, at an address without a scheme."""

    def update(self, update: Update) -> None:
        """News from rank 0."""
