"""The Ray dashboard of a run: started where the run lasts, and told of once it answers."""

from __future__ import annotations

from orchestrator.data.plan import TrainingPlan
from orchestrator.driver.place import Place
from orchestrator.observer import Observer
from orchestrator.training.mailbox import Update

#: What is left of training has to take so long. To start the dashboard takes 4 s of processor time,
#: from training; beside workers that keep two cores busy, it answers after ten to twenty seconds;
#: and it ends with its Ray. Of a shorter run, nobody would see it.
_WORTHWHILE_S = 30.0

#: So long after the first step, it is known how fast steps are taken.
_SETTLED_S = 5.0

#: It comes up within this time, where there is a processor for it.
_COMES_S = 30.0


class Showing:
    """Has the dashboard started, and tells where it is.

    Args:
        place: Where the run's workers run.
        observer: Who is told.
        plan: The steps to take.
    """

    def __init__(self, place: Place, observer: Observer, plan: TrainingPlan) -> None:
        self._place, self._observer, self._plan = place, observer, plan
        #: When the first step since the last start was taken, and which one it was.
        self._first: tuple[float, int] | None = None
        self._started_s: float | None = None
        self._heard_s = 0.0
        self._told = False

    def hear(self, update: Update) -> None:
        """Take news of the run."""
        self._heard_s = update.time_s
        done = update.epoch * self._plan.steps_per_epoch + update.step
        if update.kind == "first_step":
            self._first = (update.time_s, done)
        if update.kind == "step" and self._started_s is None and self._lasts(update.time_s, done):
            self._place.show()
            self._started_s = update.time_s
        self.tell()

    def tell(self) -> None:
        """Say where the dashboard is, once it answers."""
        if not self._told and (address := self._place.dashboard):
            self._observer.dashboard(address)
            self._told = True

    def conclude(self) -> None:
        """Say so where it should have come, and didn't."""
        waited = self._started_s is not None and self._heard_s - self._started_s >= _COMES_S
        if waited and not self._told:
            self._observer.note("The Ray dashboard did not answer during this run.")

    def _lasts(self, time_s: float, done: int) -> bool:
        """Return whether training will go on for a while."""
        if self._first is None:
            return False
        first_s, first = self._first
        took, left = time_s - first_s, self._plan.total_steps - done
        return took >= _SETTLED_S and took * left >= _WORTHWHILE_S * (done - first)
