"""A run as a RayJob of KubeRay: a Ray cluster of its own, made for the run and gone after it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from orchestrator.storage.storage import Storage

#: How long KubeRay keeps the cluster of a run that has ended, so that its logs can be read.
_KEPT_S = 600


@dataclass(frozen=True, kw_only=True)
class Pods:
    """What the pods of a run are made of."""

    #: Image with launch-job and the project in it.
    image: str
    #: PersistentVolumeClaim of the storage, which every pod can write.
    claim: str
    #: Workers that train.
    workers: int
    #: Whether each of them gets a GPU.
    gpus: bool


def rayjob_spec(words: Sequence[str], *, pods: Pods, storage: Storage) -> dict[str, Any]:
    """Return the spec of a RayJob.

    Args:
        words: Job and options, as `launch-job submit` takes them.
        pods: What its pods are made of.
        storage: Where the claim is mounted in each pod.
    """
    place = ("--address", "auto", "--storage", str(storage.path))
    return {
        "entrypoint": shlex.join(["launch-job", "submit", *words, *place]),
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": _KEPT_S,
        # A run goes on by itself when workers die; a new cluster would begin a new run.
        "backoffLimit": 0,
        "rayClusterSpec": {
            "rayVersion": version("ray"),
            "authOptions": {"mode": "token"},
            "headGroupSpec": {
                # Workers train on pods of their own.
                "rayStartParams": {"num-cpus": "0"},
                "template": _pod("ray-head", pods, storage, cpus=1, gpus=False),
            },
            "workerGroupSpecs": [
                {
                    "groupName": "workers",
                    "replicas": pods.workers,
                    "minReplicas": pods.workers,
                    "maxReplicas": pods.workers,
                    "rayStartParams": {},
                    "template": _pod("ray-worker", pods, storage, cpus=1, gpus=pods.gpus),
                }
            ],
        },
    }


def _pod(name: str, pods: Pods, storage: Storage, *, cpus: int, gpus: bool) -> dict[str, Any]:
    resources = {"cpu": str(cpus), "memory": "4Gi", **({"nvidia.com/gpu": "1"} if gpus else {})}
    return {
        "spec": {
            "containers": [
                {
                    "name": name,
                    "image": pods.image,
                    "resources": {"requests": resources, "limits": resources},
                    "volumeMounts": [{"name": "storage", "mountPath": str(storage.path)}],
                }
            ],
            "volumes": [
                {"name": "storage", "persistentVolumeClaim": {"claimName": pods.claim}},
            ],
        }
    }


def rayjob(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """Return a RayJob whose name begins with `name`; each creation makes another one."""
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"generateName": f"{name[:40]}-"},
        "spec": spec,
    }
