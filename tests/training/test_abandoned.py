"""What a controller that died holds is given back, and nothing else."""

import pytest

SCRIPT = """
import json
import ray
from ray.util.placement_group import placement_group, placement_group_table

from orchestrator.training.abandoned import release_abandoned_groups

ray.init(address="local", num_cpus=3, include_dashboard=False, log_to_driver=False)


@ray.remote(num_cpus=0)
class Maker:
    def make(self):
        self.group = placement_group([{"CPU": 1}])
        ray.get(self.group.ready())
        return self.group.id.hex()


def states():
    return {name: entry["state"] for name, entry in placement_group_table().items()}


dead, alive = Maker.remote(), Maker.remote()
groups = {"dead": ray.get(dead.make.remote()), "alive": ray.get(alive.make.remote())}
own = placement_group([{"CPU": 1}])
ray.get(own.ready())
groups["driver"] = own.id.hex()
ray.kill(dead)
try:
    ray.get(dead.make.remote())
except ray.exceptions.RayActorError:
    pass
before = states()
release_abandoned_groups()
after = states()
print(json.dumps({who: (before[name], after[name]) for who, name in groups.items()}))
"""


@pytest.mark.slow
def test_groups_of_dead_actors_are_removed_and_no_others(run_with_ray):
    assert run_with_ray(SCRIPT) == {
        "dead": ["CREATED", "REMOVED"],
        "alive": ["CREATED", "CREATED"],
        "driver": ["CREATED", "CREATED"],
    }
