"""What runs inside each worker of a Ray Train group."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import Any

from orchestrator.catalog import Job, Training, load_declared
from orchestrator.data.batches import StepReader, evaluation_batches
from orchestrator.data.cache import Shards, shards_for_worker
from orchestrator.data.manifest import ROW_COLUMN, Manifest
from orchestrator.errors import LaunchJobError
from orchestrator.records.log_times import keep_times
from orchestrator.records.predictions import Predictions
from orchestrator.records.tally import Tally
from orchestrator.records.timeline import note, phase
from orchestrator.storage.atomic import write_json
from orchestrator.storage.caches import compiled_cache, shard_cache
from orchestrator.training.affinity import CpuShare
from orchestrator.training.callbacks import News, Publishing
from orchestrator.training.checkpoint import CheckpointStore
from orchestrator.training.compiled import CompiledPrograms, folder_for
from orchestrator.training.device import make_strategy
from orchestrator.training.evaluation import evaluate
from orchestrator.training.failure import Failure, RankFailedError
from orchestrator.training.feed import features_of
from orchestrator.training.fit import BEGINNING, Trained, train
from orchestrator.training.gauges import Gauges
from orchestrator.training.last_words import introduction
from orchestrator.training.model import build_training, distribute, plain_twin, save_twin
from orchestrator.training.neighbours import Neighbours
from orchestrator.training.pause import PausedError, sigterm_kept, told_to_end
from orchestrator.training.shared_sum import SharedSum
from orchestrator.training.steps import Stepper
from orchestrator.training.task import WorkerResult, WorkerTask
from orchestrator.training.versions import check_versions


def run_worker(
    task: WorkerTask, *, rank: int, workers: int, local_rank: int, local_workers: int
) -> None:
    """Train, evaluate and leave a WorkerResult in the attempt's folder.

    Args:
        task: What all workers are told.
        rank: Rank of this one.
        workers: Number of workers.
        local_rank: Number of this one among those of its machine, from 0.
        local_workers: How many its machine has.

    Raises:
        RankFailedError: Whatever went wrong is written to the attempt's folder.
    """
    log = task.run.rank_log(rank)
    _log_to(log)
    keep_times(log, task.run.log_times(log))
    print(introduction(rank), flush=True)
    note("placement", task.asked_s)
    try:
        cpus = _cpus(task, local_rank, local_workers)
        _Worker(task, rank, workers, cpus, together=local_workers == workers).run()
    except PausedError:
        return
    except BaseException as err:  # noqa: BLE001 - its account is raised in its place
        failure = Failure.of(err, rank=rank, code=task.job.code)
        # Where the storage is full, the exception carries the account alone.
        with contextlib.suppress(LaunchJobError):
            failure.write(task.attempt)
        # Whoever unpickled an error of TensorFlow's would import TensorFlow: the controller and
        # the driver, in the seconds in which they have to start the next attempt.
        raise RankFailedError(failure) from None


class _Worker:
    """One worker of one run."""

    def __init__(
        self, task: WorkerTask, rank: int, workers: int, cpus: CpuShare, *, together: bool
    ) -> None:
        check_versions(task.versions)
        self.cpus = cpus
        #: Whether all workers are on this machine.
        self.together = together
        self.task = task
        self.rank = rank
        self.workers = workers
        self.job = load_declared(task.job, Job)
        self.manifest = Manifest.read(task.dataset)
        self.shards = self._shards()
        self.news = News(task.mailbox if rank == 0 else None)

    def run(self) -> None:
        """Train, evaluate, and leave the result."""
        import keras

        with phase("model"):
            _set_up_tensorflow(self.task.threads)
            programs = _compiled_programs() if self.task.device == "cpu" else None
            if self._deterministic and self.task.device == "gpu":
                _make_deterministic()
            with sigterm_kept():
                strategy = make_strategy(self.task.device)
            keras.config.set_dtype_policy(self.task.spec.precision)
            keras.utils.set_random_seed(self.task.spec.seed % 2**32)
            with strategy.scope():
                training = build_training(self.job, self.task.spec.params, self.manifest.info)
            if self.task.spec.jit:
                training.model.jit_compile = True
            if self._deterministic:
                _make_deterministic()
            distribute(training, strategy, self.manifest)
        self.news.send("ready")
        self.news.send_phases()
        trained = self._train(training, strategy, programs)
        self.news.send("evaluating", epoch=self.task.spec.epochs)
        tallies, predictions = self._evaluate(training)
        self.news.send_phases()
        WorkerResult(
            rank=self.rank,
            steps=trained.steps,
            rows_seen=trained.rows_seen,
            history=trained.history,
            tallies=tallies,
            predictions=predictions,
        ).write(self.task.attempt)

    def _train(
        self, training: Training, strategy: Any, programs: CompiledPrograms | None
    ) -> Trained:
        spec = self.task.spec
        labels = {"run": spec.run_id, "job": spec.job, "rank": str(self.rank)}

        def beside(stepper: Stepper) -> list[Any]:
            publishing = [] if programs is None else [Publishing(programs)]
            return [Gauges(stepper, labels), *publishing]

        store = CheckpointStore(folder=self.task.run.checkpoints)
        try:
            return train(
                training,
                strategy,
                self._reader(),
                self.task.attempt,
                news=self.news,
                start=store.load(self.task.checkpoint) if self.task.checkpoint else BEGINNING,
                checkpoint_every=spec.checkpoint_every,
                keep=spec.keep,
                neighbours=self._neighbours(programs),
                beside=beside,
            )
        except PausedError:
            if told_to_end():
                write_json(self.task.attempt.preemption(self.rank), {"host": socket.gethostname()})
            raise

    def _neighbours(self, programs: CompiledPrograms | None) -> Neighbours:
        attempt = f"{self.task.run.path.name}-{self.task.attempt.path.name}"
        folder = _session_folder() / "neighbours" / attempt
        shared = self.together and self.task.device == "cpu" and SharedSum.suits(self.workers)
        if shared:
            print(
                "launch-job: gradients are summed through memory that all ranks share", flush=True
            )
        return Neighbours(
            flight=None if programs is None else programs.flight(folder),
            cpus=self.cpus,
            shared_sum=SharedSum(folder, rank=self.rank, workers=self.workers) if shared else None,
        )

    @property
    def _deterministic(self) -> bool:
        asked = self.task.spec.deterministic
        return self.task.device == "cpu" if asked is None else asked

    def _shards(self) -> Shards:
        """Return the dataset's shards; where they lie afar, copying them begins at once."""
        plan = self.task.plan(self.manifest, workers=self.workers)
        own = plan.order.streams_of(self.rank)
        return shards_for_worker(
            self.task.dataset,
            self.manifest,
            [(split, stream) for split in ("train", "test") for stream in own],
            objects=self.task.objects,
            cache=shard_cache(self.manifest.dataset, self.manifest.fingerprint),
        )

    def _reader(self) -> StepReader:
        return StepReader(
            shards=self.shards,
            plan=self.task.plan(self.manifest, workers=self.workers),
            worker=self.rank,
            seed=self.task.spec.seed,
        )

    def _evaluate(self, training: Training) -> tuple[dict[int, Tally], Predictions]:
        """Count this worker's test rows with a plain copy of the model; rank 0 keeps the copy."""
        with phase("copy of the model"):
            weights = training.model.get_weights()
            twin = plain_twin(self.job, self.task.spec.params, self.manifest, weights)
        label = self.manifest.label.name
        batches = (
            (stream, features_of(self.manifest, rows), rows[label], rows[ROW_COLUMN])
            for stream, rows in evaluation_batches(
                self.shards, worker=self.rank, workers=self.workers
            )
        )
        with phase("evaluation"):
            told = evaluate(twin, batches, len(self.manifest.classes), one_hot=training.one_hot)
        if self.rank == 0:
            with phase("saving"):
                unfinished = self.task.run.path / f".{self.task.run.model.name}"
                save_twin(twin, unfinished)
                os.replace(unfinished, self.task.run.model)
        return told


def _cpus(task: WorkerTask, local_rank: int, local_workers: int) -> CpuShare:
    """Return this worker's share of its machine's CPUs; on GPUs, it has all of them."""
    if task.device == "gpu":
        return CpuShare()
    share = CpuShare.of_worker(local_rank, local_workers)
    if share.cpus is not None:
        numbers = ", ".join(map(str, sorted(share.cpus)))
        print(f"launch-job: this rank takes its steps on CPU {numbers}", flush=True)
    return share


def _set_up_tensorflow(threads: int) -> None:
    """Compute with so many threads; by itself, TensorFlow takes one a core in every worker.

    XLA is told to use the widest vectors that the processor has. It prefers 256 bits, since early
    processors slowed down at 512; an LSTM's step takes a tenth less time with them (measured on
    AVX-512). Without such vectors, the flag does nothing.
    """
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_prefer_vector_width=512")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def _compiled_programs() -> CompiledPrograms:
    """Have XLA keep what it compiles, and take what earlier runs on this machine have compiled."""
    import tensorflow as tf

    compiler = f"{tf.version.VERSION} {tf.version.GIT_VERSION}"
    kept = folder_for(compiled_cache(), compiler=compiler, flags=os.environ["XLA_FLAGS"])
    programs = CompiledPrograms(kept, _session_folder() / "compiled" / kept.name)
    if programs.use():
        print(
            "launch-job: XLA takes steps that earlier runs on this machine have compiled, from "
            f"{kept}. It may call them no text, or doubt the machine: both mean nothing.",
            flush=True,
        )
    return programs


def _session_folder() -> Path:
    """Return the folder of Ray's files on this machine, which goes with them."""
    from ray._private import worker

    node: Any = worker._global_node
    return Path(node.get_session_dir_path())


def _make_deterministic() -> None:
    """Have operations give the same bits whenever they are given the same.

    Keras doesn't let a model be compiled by XLA after this, since what XLA does on GPUs isn't
    deterministic. On CPUs it is, so there this comes when the model has been built.
    """
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()


def _log_to(path: Path) -> None:
    """Send everything this process prints to a file, TensorFlow's C++ messages included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    print(f"launch-job: this rank's log is {path}", flush=True)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
