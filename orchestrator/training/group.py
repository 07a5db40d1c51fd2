"""The Ray Train group of a run, as its driver sees it: started, listened to, waited for."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.errors import StoppedError, UnavailableError
from orchestrator.interrupts import Interrupts
from orchestrator.storage.atomic import leave_request
from orchestrator.training.controller import start_controller
from orchestrator.training.failure import Failure, first_failure
from orchestrator.training.mailbox import Update
from orchestrator.training.task import WorkerTask

#: How often signals and the workers' results are looked at, if there is no news.
_POLL_S = 0.25

#: How long the mailbox waits for news, each time it is asked: asked ten times a second, it and this
#: process took 3% of a core from training.
_NEWS_S = 1.0

#: How much longer it may take to answer, before it counts as out of reach.
_REPLY_S = 5.0

#: Workers that are to stop have this long to take their next steps and write a checkpoint.
_STOP_S = 60.0

#: Once every worker has left its result, Ray Train has this long to notice.
_LINGER_S = 10.0


class WorkersFailedError(Exception):
    """The group failed.

    Args:
        failure: What the first worker that failed left.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class TrainingGroup:
    """A Ray Train group at work, and the mailbox that its news comes through.

    Ray must be up.

    Args:
        task: What all workers are told.
        workers: Number of workers.
        hear: Called with each piece of news, in the thread that calls `run`.
        environment: What Ray's runtime environment of the workers has besides that of the run.
    """

    def __init__(
        self,
        task: WorkerTask,
        workers: int,
        hear: Callable[[Update], None],
        environment: Mapping[str, Any],
    ) -> None:
        import ray

        self._hear = hear
        self._node = ray.get_runtime_context().get_node_id()
        self._controller: Any = start_controller(self._node)
        self._reply: Any = None
        self._late_after = 0.0
        self._wanted = (dataclasses.replace(task, mailbox=self._controller), workers, environment)
        self._attempt = task.attempt
        self._results = [task.attempt.result(rank) for rank in range(workers)]
        self._training = False

    def run(self, interrupts: Interrupts) -> None:
        """Train until the workers have ended, passing news on.

        They may have paused: then they have left no results.

        Args:
            interrupts: Signals of this process; the first one asks the workers to stop.

        Raises:
            WorkersFailedError: A worker failed, or Ray Train did.
            StoppedError: The run was to stop, and there was nothing to wait for.
            UnavailableError: Ray has died on this machine.
        """
        import ray

        training = self._controller.train.remote(*self._wanted)
        stop_by = ended_by = None
        ended = False
        while not ended:
            ended = bool(ray.wait([training], timeout=0)[0])
            # Once it has ended, too: what was told last.
            reachable = self._collect([] if ended else [training])
            now = time.monotonic()
            if self._wants_to_stop(interrupts):
                if stop_by is None:
                    stop_by = now + _STOP_S
                    self._hear(Update(kind="stopping", time_s=time.time()))
                # What told this process to stop may have ended Ray as well.
                if not self._training or not reachable or now > stop_by:
                    raise StoppedError("Stopped.")
            if not reachable:
                self._check_ray()
            if all(path.exists() for path in self._results):
                ended_by = ended_by or now + _LINGER_S
                if now > ended_by:
                    return
        self._conclude(training)

    def _conclude(self, training: Any) -> None:
        """End the controller, whose training has ended; raise its failure, if it failed."""
        import ray

        try:
            failure: Failure | None = ray.get(training)
        except ray.exceptions.RayError as err:
            failure = first_failure(self._attempt, err)
        # One that was only out of reach would keep what the next attempt needs.
        ray.kill(self._controller)
        if failure is not None and not all(path.exists() for path in self._results):
            raise WorkersFailedError(failure)

    def _check_ray(self) -> None:
        """Refuse to wait for what no Ray is going to start: then the controller never comes."""
        import ray

        if any(node["NodeID"] == self._node and node["Alive"] for node in ray.nodes()):
            return
        raise UnavailableError(
            "Ray has died on this machine: its raylet is gone.",
            hint=f"`launch-job resume {self._attempt.run.run_id}` goes on.",
        )

    def _wants_to_stop(self, interrupts: Interrupts) -> bool:
        stop_request = self._attempt.run.stop_request
        asked = stop_request.exists()
        if interrupts.noted is not None and not asked:
            leave_request(stop_request, by=interrupts.noted)
            asked = True
        return asked

    def _collect(self, others: list[Any]) -> bool:
        """Wait for news a moment, and pass it on; return whether the mailbox can be reached.

        Args:
            others: What ends the wait, too.
        """
        import ray

        if self._reply is None:
            self._reply = self._controller.drain.remote(_NEWS_S)
            self._late_after = time.monotonic() + _NEWS_S + _REPLY_S
        there, _ = ray.wait([self._reply, *others], timeout=_POLL_S)
        # One that is late is waited for the next time: the mailbox has its news no more.
        if self._reply not in there:
            return time.monotonic() < self._late_after
        reply, self._reply = self._reply, None
        try:
            updates = ray.get(reply)
        except ray.exceptions.RayActorError:
            return False
        for update in updates:
            if update.kind in ("first_step", "evaluating"):
                self._training = update.kind == "first_step"
            self._hear(update)
        return True
