"""A schedule as objects of Kubernetes.

KubeRay's RayCronJob makes up for every tick that it has missed, and looks at no run before. So it
is taken for a schedule that wants just that. For any other, a CronJob creates a RayJob and follows
it to its end, by which its concurrencyPolicy knows what goes on.
"""

from __future__ import annotations

from typing import Any

from orchestrator.errors import UsageError
from orchestrator.schedule.definition import Schedule
from orchestrator.schedule.export.exported import Exported, cron_fields, to_yaml, untold
from orchestrator.schedule.export.rayjob import Pods, rayjob, rayjob_spec
from orchestrator.schedule.keeper import run_words
from orchestrator.storage.storage import Storage

_CONCURRENCY = {"skip": "Forbid", "replace": "Replace", "allow": "Allow"}

#: A CronJob that lets a tick pass which is later than this; Kubernetes looks every 10 s.
_LATE_S = 60

_FOLLOW = """\
name=$(kubectl create -f /rayjob/rayjob.yaml -o name)
trap 'kubectl delete --wait=false "$name"; exit 143' TERM
while :; do
  case $(kubectl get "$name" -o jsonpath='{.status.jobDeploymentStatus}') in
    Complete) exit 0 ;;
    Failed) exit 1 ;;
  esac
  sleep 10 & wait $!
done
"""


def to_kubernetes(
    schedule: Schedule,
    storage: Storage,
    *,
    pods: Pods,
    namespace: str,
    kubectl_image: str | None,
) -> Exported:
    """Return a schedule as a RayCronJob, or as a CronJob and what it needs.

    Args:
        schedule: The schedule.
        storage: Where the claim of the storage is mounted.
        pods: What the pods of its runs are made of.
        namespace: Where the objects go.
        kubectl_image: Image with `sh` and `kubectl`, for a CronJob.

    Raises:
        UsageError: A cron line can't say when it is due, a CronJob can't do what it asks for, or
            the image is needed and missing.
    """
    name = f"launch-job-{schedule.name.replace('_', '-')}"
    spec = rayjob_spec(run_words(schedule, tick=None), pods=pods, storage=storage)
    notes = untold(schedule, "start", "end", "jitter", "notify", "cluster")
    if schedule.overlap == "allow" and schedule.misfire == "all":
        objects: list[dict[str, Any]] = [_ray_cron_job(name, schedule, spec)]
    else:
        if schedule.overlap == "queue":
            raise UsageError("A CronJob can't queue.", hint="Use --overlap skip, replace or allow.")
        if kubectl_image is None:
            raise UsageError(
                f"--overlap {schedule.overlap} with --misfire {schedule.misfire} takes a CronJob.",
                hint="Name an image that has sh and kubectl with --kubectl-image.",
            )
        if schedule.misfire == "all":
            notes.append("--misfire all is --misfire latest here")
        body = to_yaml(rayjob(name, spec))
        objects = [*_rights(name, namespace), _config_map(name, body)]
        objects.append(_cron_job(name, schedule, kubectl_image))
    for one in objects:
        one["metadata"]["namespace"] = namespace
    comments = "".join(f"# {note}\n" for note in notes)
    return Exported(files={f"{name}.yaml": comments + to_yaml(*objects)}, notes=notes)


def _ray_cron_job(name: str, schedule: Schedule, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayCronJob",
        "metadata": {"name": name},
        "spec": {
            "schedule": cron_fields(schedule),
            "timeZone": schedule.timezone,
            "jobTemplate": spec,
        },
    }


def _cron_job(name: str, schedule: Schedule, kubectl_image: str) -> dict[str, Any]:
    container = {
        "name": "rayjob",
        "image": kubectl_image,
        "command": ["sh", "-euc", _FOLLOW],
        "volumeMounts": [{"name": "rayjob", "mountPath": "/rayjob"}],
    }
    pod = {
        "serviceAccountName": name,
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": [{"name": "rayjob", "configMap": {"name": name}}],
    }
    late = {"startingDeadlineSeconds": _LATE_S} if schedule.misfire == "skip" else {}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name},
        "spec": {
            "schedule": cron_fields(schedule),
            "timeZone": schedule.timezone,
            "concurrencyPolicy": _CONCURRENCY[schedule.overlap],
            **late,
            "jobTemplate": {"spec": {"backoffLimit": 0, "template": {"spec": pod}}},
        },
    }


def _config_map(name: str, body: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": {"rayjob.yaml": body},
    }


def _rights(name: str, namespace: str) -> list[dict[str, Any]]:
    """Return an account that may create, look at and delete RayJobs, and nothing else."""
    group = "rbac.authorization.k8s.io"
    rule = {
        "apiGroups": ["ray.io"],
        "resources": ["rayjobs"],
        "verbs": ["create", "get", "delete"],
    }
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}},
        {
            "apiVersion": f"{group}/v1",
            "kind": "Role",
            "metadata": {"name": name},
            "rules": [rule],
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        },
    ]
