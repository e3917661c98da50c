"""The Kubernetes Job of a command: what is run, with what, and when it begins again."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from registry.errors import InvalidInputError
from registry.learn.compute.contract import Command
from registry.learn.compute.launching import environment_of, rendezvous, single, torchrun
from registry.learn.compute.targets import Target

__all__ = ["CONTAINER", "LABEL", "for_pipes", "job_manifest", "service_manifest"]

CONTAINER: Final = "work"
"""Name of the one container of each pod."""

LABEL: Final = "eolab-job"
"""The label of everything that belongs to a job."""

_PORT: Final = 29_400
_ENDED_BY_OTHERS: Final = (137, 143)
_PLACES: Final = ("EOLAB_LAKE", "EOLAB_CACHE")


def job_manifest(command: Command, target: Target, *, job_id: str) -> dict[str, Any]:
    """Return a job as Kubernetes takes it.

    A pod that is evicted, pre-empted or whose node goes is replaced without being counted; one that
    is killed is started again as often as the command's resources say; one that fails by itself
    ends the job.

    Args:
        command: What runs.
        target: Where; its image has the lab.
        job_id: The job's name.

    Returns:
        A ``batch/v1`` Job, as JSON and YAML can say it; no value of an environment variable in it
        is a key, those come from the target's secrets.

    Raises:
        InvalidInputError: There is no image, or the lake is a folder that no mount shows.
    """
    needs = command.resources
    several = needs.nodes > 1
    spec: dict[str, Any] = {
        "backoffLimit": needs.restarts * needs.nodes,
        "ttlSecondsAfterFinished": 3600 * target.keep_hours,
        "podFailurePolicy": {"rules": _rules(several=several)},
        "template": {
            "metadata": {"labels": _labels(job_id)},
            "spec": _pod(command, target, job_id),
        },
    }
    if needs.minutes:
        spec["activeDeadlineSeconds"] = 60 * needs.minutes
    if several:
        spec |= {
            "completionMode": "Indexed", "completions": needs.nodes, "parallelism": needs.nodes,
        }  # fmt: skip
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_id, "namespace": target.namespace, "labels": _labels(job_id),
        },
        "spec": spec,
    }  # fmt: skip


def service_manifest(command: Command, target: Target, *, job_id: str) -> dict[str, Any] | None:
    """Return the service by which several nodes of a job find each other; None for one node.

    Args:
        command: What runs.
        target: Where.
        job_id: The job's name.
    """
    if command.resources.nodes == 1:
        return None
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": job_id, "namespace": target.namespace, "labels": _labels(job_id)},
        "spec": {
            "clusterIP": "None",  # a name for each pod, nothing between them
            "publishNotReadyAddresses": True,
            "selector": _labels(job_id),
            "ports": [{"name": "meet", "port": _PORT}],
        },
    }


def for_pipes(command: Command, target: Target, *, job_id: str) -> dict[str, Any]:
    """Return what ``PipesK8sClient.run`` of Dagster takes to run the same command in a pod.

    Args:
        command: What runs; on one node.
        target: Where.
        job_id: The job's name.

    Returns:
        Keyword arguments ``image``, ``command``, ``env``, ``namespace``, ``base_pod_spec``,
        ``base_pod_meta``.
    """
    pod = job_manifest(command, target, job_id=job_id)["spec"]["template"]
    [container] = pod["spec"]["containers"]
    rest = {
        key: value for key, value in container.items() if key not in {"command", "env", "image"}
    }
    return {
        "image": container["image"],
        "command": container["command"],
        "env": {one["name"]: one["value"] for one in container["env"]},
        "namespace": target.namespace,
        "base_pod_spec": {**pod["spec"], "containers": [rest]},
        "base_pod_meta": pod["metadata"],
    }


def _labels(job_id: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": "eolab", LABEL: job_id}


def _rules(*, several: bool) -> list[dict[str, Any]]:
    disrupted = {
        "action": "Ignore",
        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
    }
    if several:  # one node's end is the failure of all others; only the cluster knows whose it was
        return [disrupted]
    own_failure = {
        "action": "FailJob",
        "onExitCodes": {
            "containerName": CONTAINER, "operator": "NotIn", "values": list(_ENDED_BY_OTHERS),
        },
    }  # fmt: skip
    return [disrupted, own_failure]


def _pod(command: Command, target: Target, job_id: str) -> dict[str, Any]:
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": bool(target.service_account),
        "containers": [_container(command, target, job_id)],
        "volumes": [_volume(number, target) for number in range(len(target.mounts))]
        + [{"name": "shared-memory", "emptyDir": {"medium": "Memory"}}],
    }
    if command.resources.nodes > 1:
        pod["subdomain"] = job_id
    if target.service_account:
        pod["serviceAccountName"] = target.service_account
    if target.node_selector:
        pod["nodeSelector"] = dict(target.node_selector)
    if target.tolerations:
        pod["tolerations"] = [dict(one) for one in target.tolerations]
    if target.pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in target.pull_secrets]
    return pod


def _container(command: Command, target: Target, job_id: str) -> dict[str, Any]:
    if not target.image:
        raise InvalidInputError(
            f"the place '{target.name}' has no image to run",
            hint="give its section of compute.yaml an image that has the lab",
        )
    environment = _environment(command, target, job_id)
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": target.image,
        "command": [_literal(word) for word in _words(command, target, job_id)],
        "env": [
            {"name": name, "value": _literal(value)} for name, value in sorted(environment.items())
        ],
        "resources": _resources(command, target),
        "volumeMounts": [
            {"name": _name(number), "mountPath": mount.path, "readOnly": mount.read_only}
            for number, mount in enumerate(target.mounts)
        ]
        + [{"name": "shared-memory", "mountPath": "/dev/shm"}],  # noqa: S108 — where torch looks
        "securityContext": {"allowPrivilegeEscalation": False},
    }
    if target.secrets:
        container["envFrom"] = [{"secretRef": {"name": name}} for name in target.secrets]
    workdir = target.workdir or (
        str(command.workdir) if _is_shown(str(command.workdir), target) else ""
    )
    if workdir:
        container["workingDir"] = workdir
    return container


def _words(command: Command, target: Target, job_id: str) -> tuple[str, ...]:
    python = target.python or "python"
    if command.resources.nodes == 1:
        return single(command, python=python)
    first = f"{job_id}-0.{job_id}:{_PORT}"
    return torchrun(command, rendezvous(command, endpoint=first, key=job_id), python=python)


def _environment(command: Command, target: Target, job_id: str) -> Mapping[str, str]:
    said = environment_of(command, job_id, target.environment)
    for name in _PLACES:
        folder = _folder(said.get(name, ""))
        if not folder or name in target.environment or _is_shown(folder, target):
            continue
        if name == "EOLAB_LAKE":
            raise InvalidInputError(
                f"no mount of '{target.name}' shows the lake {folder}",
                hint="mount it there, or give EOLAB_LAKE under environment in compute.yaml",
            )
        del said[name]  # what is cached here is none of the cluster's
    return said


def _folder(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme == "file":
        return unquote(parts.path)
    return address if address.startswith("/") else ""


def _is_shown(folder: str, target: Target) -> bool:
    return any(PurePosixPath(folder).is_relative_to(mount.path) for mount in target.mounts)


def _resources(command: Command, target: Target) -> dict[str, dict[str, str]]:
    needs = command.resources
    asked: dict[str, str] = {}
    if cpus := needs.cpus or target.cpus:
        asked["cpu"] = str(cpus)
    if memory := needs.memory_gb or target.memory_gb:
        asked["memory"] = f"{memory}G"
    limits = {name: value for name, value in asked.items() if name == "memory"}
    if needs.gpus:
        limits["nvidia.com/gpu"] = str(needs.gpus)
    return {"requests": asked, "limits": limits}


def _volume(number: int, target: Target) -> dict[str, Any]:
    mount = target.mounts[number]
    if mount.claim:
        claim = {"claimName": mount.claim, "readOnly": mount.read_only}
        return {"name": _name(number), "persistentVolumeClaim": claim}
    return {"name": _name(number), "hostPath": {"path": mount.host}}


def _name(number: int) -> str:
    return f"mount-{number}"


def _literal(text: str) -> str:
    """Return text in which Kubernetes expands nothing: it would read ``$(NAME)``."""
    return text.replace("$(", "$$(")
