"""The calls of the train function: which steps each of them takes.

`fit` calls the train function, and each call takes several steps in one graph. What feeds rows to
the calls and what takes the steps both go by this plan.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from orchestrator.catalog.info import Column
from orchestrator.data.plan import TrainingPlan

#: Most steps of a call. Eight gave 20% more rows/s than one, and sixteen 5% more than eight.
_STEPS = 16

#: Most bytes that a worker reads for a call; a single step may have more.
_BYTES = 32 << 20


@dataclass(frozen=True, kw_only=True)
class Call:
    """Successive steps of one epoch."""

    #: Their epoch, from 0.
    epoch: int
    #: The first step.
    first: int
    #: The step after the last one.
    last: int


@dataclass(frozen=True, kw_only=True)
class CallPlan:
    """The calls of one worker, from where training starts to the end of the plan.

    All workers take the same steps in each.
    """

    #: The steps.
    plan: TrainingPlan
    #: Rank of the worker.
    worker: int
    #: Most steps of a call.
    most_steps: int = _STEPS
    #: Steps of an epoch after which a call has to end, each time; None: anywhere.
    halt_every: int | None = None
    #: Epoch that training starts in, from 0.
    start_epoch: int = 0
    #: Step of that epoch that it starts with.
    start_step: int = 0

    @property
    def total(self) -> int:
        """Calls of all epochs."""
        whole = self.plan.epochs - self.start_epoch - 1
        return len(self._first_epoch) + whole * len(self._whole_epoch)

    @property
    def most_per_epoch(self) -> int:
        """Calls that no epoch has more of."""
        return max(len(self._first_epoch), len(self._whole_epoch))

    def number(self, number: int) -> Call:
        """Return a call by its number, from 0."""
        number -= len(self._first_epoch)
        if number < 0:
            epoch, firsts = self.start_epoch, self._first_epoch
        else:
            later, number = divmod(number, len(self._whole_epoch))
            epoch, firsts = self.start_epoch + 1 + later, self._whole_epoch
        return Call(epoch=epoch, first=firsts[number], last=self.end_of(firsts[number]))

    def end_of(self, step: int) -> int:
        """Return the step after the last one of the call that begins with a step."""
        halt = self.halt_every or self.plan.steps_per_epoch
        to_halt = halt - step % halt
        return min(step + min(self.most_steps, to_halt), self._same_until(step))

    def rows_of(self, first: int, last: int) -> list[int]:
        """Return how many rows the worker holds in each of some steps."""
        return [self.plan.rows_of_worker(step, worker=self.worker) for step in range(first, last)]

    def _same_until(self, step: int) -> int:
        """Return the step up to which steps have as many rows as this one: the last has fewer.

        A step of other rows is another program for XLA, which one worker compiles for the others
        before they begin the call (`single_flight.py`).
        """
        last = self.plan.steps_per_epoch - 1
        short = self.plan.rows_of_step(last) < self.plan.batch_size
        return last if short and step < last else last + 1

    @cached_property
    def _first_epoch(self) -> list[int]:
        return self._from(self.start_step)

    @cached_property
    def _whole_epoch(self) -> list[int]:
        return self._from(0)

    def _from(self, step: int) -> list[int]:
        """Return the first step of each call, from one step to the end of the epoch."""
        firsts = []
        while step < self.plan.steps_per_epoch:
            firsts.append(step)
            step = self.end_of(step)
        return firsts


def most_steps(plan: TrainingPlan, columns: Iterable[Column]) -> int:
    """Return how many steps a call may take, for rows of some columns: fewer, the larger they are.

    It is the same for all workers.
    """
    row_bytes = sum(column.row_bytes for column in columns)
    step_bytes = row_bytes * -(-plan.batch_size // plan.workers)
    return max(1, min(_STEPS, _BYTES // step_bytes))
