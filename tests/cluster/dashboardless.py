"""Starts an embedded Ray whose dashboard never answers; prints what came of it."""

import json
import sys
from pathlib import Path

from orchestrator.cluster.dashboard import await_dashboard
from orchestrator.cluster.embedded import EmbeddedRay
from orchestrator.errors import UnavailableError

with EmbeddedRay(workers=1, logs=Path(sys.argv[1])) as place:
    # Ray reads its settings when it is imported.
    import ray
    from ray._private import services, worker

    start = services.start_ray_process

    def start_silent(command, process_type, *args, **kwargs):
        if process_type == "dashboard":
            command = ["sleep", "600"]
        return start(command, process_type, *args, **kwargs)

    services.start_ray_process = start_silent
    place.start()
    processes = worker._global_node.all_processes
    told = {"begins_with": sorted({"dashboard", "monitor", "log_monitor"} & set(processes))}
    place.show()
    told["shows"] = sorted({"dashboard", "monitor", "log_monitor"} & set(processes))
    told |= {"address": place.dashboard, "computed": ray.get(ray.remote(lambda: 3).remote())}
    monitor = processes["monitor"][0].process
    shutdown = worker._global_node.kill_all_processes

    def shutdown_observed(*args, **kwargs):
        told["waits_for_monitor"] = monitor.poll() is None
        shutdown(*args, **kwargs)

    worker._global_node.kill_all_processes = shutdown_observed
    processes["dashboard"][0].process.kill()
    try:
        await_dashboard()
    except UnavailableError as err:
        told["error"] = err.message
print(json.dumps(told))
