"""The folder of one run: what it was asked, what happened, and what came out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestrator.storage.atomic import storage_errors
from orchestrator.storage.attempt import AttemptFolder
from orchestrator.storage.mirror import Mirror
from orchestrator.storage.objects import Objects


@dataclass(frozen=True, kw_only=True)
class RunFolder:
    """Every path of one run."""

    #: The run's own folder.
    path: Path
    #: What it is published as, if the storage is one of objects.
    objects: Objects | None = None

    @property
    def mirror(self) -> Mirror | None:
        """The folder and what it is published as."""
        return None if self.objects is None else Mirror(folder=self.path, objects=self.objects)

    def pull(self) -> None:
        """Bring here what people look at, of a run that is driven on another machine.

        Raises:
            UnavailableError: The storage can't be reached.
        """
        if self.mirror is not None:
            self.mirror.pull(lambda name: not name.startswith("checkpoints/"))

    def shown(self, path: Path) -> str:
        """Return a path in the folder as people find it: the address where it is published."""
        if self.objects is None:
            return str(path)
        return "/".join([self.objects.address, *path.relative_to(self.path).parts])

    @property
    def run_id(self) -> str:
        """Identifier of the run: the name of its folder."""
        return self.path.name

    @property
    def spec(self) -> Path:
        """What was asked for, and the code, versions and data it was asked of."""
        return self.path / "spec.json"

    @property
    def events(self) -> Path:
        """A line for every change of state, restart and epoch."""
        return self.path / "events.jsonl"

    @property
    def report(self) -> Path:
        """What came out."""
        return self.path / "report.json"

    @property
    def reproduction(self) -> Path:
        """Whether it came out as the run that it did again."""
        return self.path / "reproduction.json"

    @property
    def page(self) -> Path:
        """What came out, as a page for a browser."""
        return self.path / "report.html"

    @property
    def predictions(self) -> Path:
        """What the model said of each test row."""
        return self.path / "predictions.arrow"

    @property
    def model(self) -> Path:
        """The trained model; `keras.models.load_model` reads it."""
        return self.path / "model.keras"

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def driver_lock(self) -> Path:
        """File that the run's driver holds locked as long as it lives."""
        return self.path / "driver.lock"

    @property
    def stop_request(self) -> Path:
        """There if the run is to stop."""
        return self.path / "stop.json"

    @property
    def live(self) -> Path:
        """What happens at this moment: the newest step, or what is waited for."""
        return self.path / "live.json"

    @property
    def submission(self) -> Path:
        """The cluster that the run was submitted to, and as which job, if it was."""
        return self.path / "submission.json"

    @property
    def secrets(self) -> Path:
        """Values that only the run's own processes may know, while it goes on."""
        return self.path / ".secrets.json"

    def size_bytes(self) -> int:
        """Return how large the folder is, with all that is in it."""
        with storage_errors(self.path):
            return sum(p.stat().st_size for p in self.path.rglob("*") if p.is_file())

    def attempt(self, number: int) -> AttemptFolder:
        """Return the folder of an attempt."""
        return AttemptFolder(run=self, number=number)

    def attempts(self) -> list[AttemptFolder]:
        """Return the folders of all attempts, in their order."""
        names = (p.name for p in self.path.glob("attempts/*"))
        return [self.attempt(number) for number in sorted(int(n) for n in names if n.isdigit())]

    def new_attempt(self) -> AttemptFolder:
        """Make the folder of the next attempt.

        Raises:
            UnavailableError: The storage can't be written.
        """
        attempts = self.path / "attempts"
        with storage_errors(attempts):
            attempts.mkdir(parents=True, exist_ok=True)
            last = max((attempt.number for attempt in self.attempts()), default=0)
            attempt = self.attempt(last + 1)
            attempt.path.mkdir()
        return attempt

    @property
    def tensorboard(self) -> Path:
        """Folder of TensorBoard's event files."""
        return self.path / "tensorboard"

    @property
    def logs(self) -> Path:
        """Folder of logs: one file a rank, and Ray's."""
        return self.path / "logs"

    @property
    def ray(self) -> Path:
        """Folder that Ray Train keeps its own state of the run in."""
        return self.path / "ray"

    @property
    def driver_log(self) -> Path:
        """What libraries print in the driver."""
        return self.logs / "driver.log"

    def rank_log(self, rank: int) -> Path:
        """Return the log file of a rank."""
        return self.logs / f"rank-{rank:04d}.log"

    def log_times(self, log: Path) -> Path:
        """Return the file that tells how long a log was at which time."""
        return log.with_suffix(".times")

    def rank_logs(self) -> list[Path]:
        """Return the log files of all ranks, in their order."""
        return sorted(self.logs.glob("rank-*.log"))
