"""A run's trained model, loaded again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.catalog import DatasetInfo, load_catalog
from orchestrator.errors import UnavailableError, UsageError
from orchestrator.spec import RunSpec
from orchestrator.storage.atomic import read_json
from orchestrator.storage.storage import Storage
from orchestrator.training.model import build_training

if TYPE_CHECKING:
    import keras


def load_model(run: str = "latest", *, storage: str | None = None) -> keras.Model:
    """Return the model that a run has trained.

    `keras.models.load_model` reads the same file; here the run's job is loaded first, so that
    classes which it declares are known.

    Args:
        run: A run's identifier, the beginning or the end of one, or `latest`.
        storage: Where runs are kept; LAUNCH_JOB_STORAGE or `./runs-store` if none is given.

    Raises:
        UsageError: There is no such run, it hasn't trained a model to its end, it is of an older
            launch-job, or its job is gone.
        UnavailableError: The file is damaged.
    """
    import keras

    folder = Storage.chosen(storage).find_run(run)
    if not folder.model.is_file():
        raise UsageError(
            f"Run {folder.run_id} has no trained model.",
            hint=f"`launch-job resume {folder.run_id}` trains it to its end.",
        )
    asked = read_json(folder.spec)
    spec = RunSpec.from_dict(asked.get("spec", {}), where=str(folder.spec))
    if "dataset" not in asked:
        raise UsageError(
            f"Run {folder.run_id} is of an older launch-job, which did not write down its dataset.",
            hint=f"keras.models.load_model reads {folder.model}.",
        )
    info = DatasetInfo.from_dict(asked["dataset"])
    build_training(load_catalog().jobs.get(spec.job), spec.params, info)
    try:
        return keras.models.load_model(folder.model)
    except (OSError, ValueError) as err:
        raise UnavailableError(f"{folder.model} can't be loaded: {err}") from err
