"""The shards of a run: prepared while Ray starts, and with its help where there is much to do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from orchestrator.aside import Aside
from orchestrator.data.portion import Portion
from orchestrator.data.prepare import PreparedDataset, prepare
from orchestrator.data.source import Source
from orchestrator.driver.place import Place
from orchestrator.observer import Observer
from orchestrator.records.timeline import phase
from orchestrator.spec import RunSpec, dataset_name
from orchestrator.storage.storage import Storage

#: How often work that waits for Ray looks whether it is wanted still.
_CHECK_S = 0.1


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """Prepares a run's dataset."""

    #: What was asked for.
    spec: RunSpec
    #: The rows, or the shards that were made of them.
    data: Source | PreparedDataset
    #: Where they are kept.
    storage: Storage
    #: Where workers run.
    place: Place
    #: Told how far it is.
    observer: Observer
    _ray_is_up: threading.Event = field(default_factory=threading.Event)

    def run(self) -> PreparedDataset:
        """Bring Ray up and return the dataset's shards, written if they aren't there.

        Dealing rows out waits for the disk, and starting Ray for its processes: they go side by
        side.

        Raises:
            UsageError: The source yields something else than it declared.
            UnavailableError: The storage can't be written, or Ray does not start.
        """
        with Aside(self._shards) as shards:
            self.place.start()
            self._ray_is_up.set()
            return shards.result()

    def _shards(self, check: Callable[[], None]) -> PreparedDataset:
        if isinstance(self.data, PreparedDataset):
            return self.data

        def progress(split: str, done: int, total: int) -> None:
            check()
            self.observer.progress(f"Sharding {self.spec.dataset} ({split})", done, total)

        def each(
            function: Callable[[Portion], None],
            portions: Sequence[Portion],
            tell: Callable[[], None],
        ) -> None:
            """Have Ray tasks do what is too much for this process alone."""
            while not self._ray_is_up.wait(_CHECK_S):
                check()
            self.place.each(function, portions, tell)

        with phase("data"):
            return prepare(
                dataset_name(self.spec.dataset),
                self.data,
                streams=self.spec.streams,
                storage=self.storage,
                progress=progress,
                each=each,
            )
