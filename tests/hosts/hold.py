"""Holds CPUs of a cluster until its standard input closes; run on a host by its tests."""

import sys

import ray
from ray.job_config import JobConfig
from ray.util.placement_group import placement_group

address, run_id, in_groups = sys.argv[1:]
ray.init(address=address, job_config=JobConfig(metadata={"launch_job_run": run_id}))
if in_groups == "group":
    held = placement_group([{"CPU": 1}, {"CPU": 1}], strategy="STRICT_SPREAD")
    ray.get(held.ready())
else:

    @ray.remote(num_cpus=1)
    class Holder:
        def ready(self):
            return True

    held = Holder.remote()
    ray.get(held.ready.remote())
print("held", flush=True)
sys.stdin.read()
