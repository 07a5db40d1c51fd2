"""Placement groups whose maker has died, given back.

Ray keeps a group that an actor made until the actor's whole job ends (the condition in
`GcsPlacementGroup::IsPlacementGroupLifetimeDone`). A controller that dies leaves one behind, and
the next attempt would wait for the very CPUs that the last one holds. Ray Train's own cleaner hears
of a group only once its workers run, and depends on the dashboard; so it is left out (`group.py`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray.util.placement_group import PlacementGroup


def release_abandoned_groups() -> None:
    """Remove the groups of this Ray job whose actor is dead.

    Where Ray itself is gone, so is what was held.
    """
    import ray

    with contextlib.suppress(ray.exceptions.RayError, RuntimeError):
        for group in _abandoned():
            ray.util.remove_placement_group(group)


def _abandoned() -> Iterator[PlacementGroup]:
    import ray
    from ray._private.state import state
    from ray.core.generated.gcs_pb2 import (  # type: ignore[attr-defined]
        ActorTableData,
        PlacementGroupTableData,
    )
    from ray.util.placement_group import PlacementGroup

    job = ray.get_runtime_context().get_job_id()
    store: Any = state._connect_and_get_accessor()
    dead = {
        ActorTableData.FromString(data).actor_id
        for data in store.get_actor_table(ray.JobID.from_hex(job), "DEAD")
    }
    for data in store.get_placement_group_table():
        group = PlacementGroupTableData.FromString(data)
        kept = group.is_detached or group.state == PlacementGroupTableData.REMOVED
        if not kept and group.creator_actor_id in dead:
            yield PlacementGroup(ray.PlacementGroupID(group.placement_group_id))
