"""Kubernetes: a Job by the cluster's API; its log is kept here once it is over."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from registry.errors import InvalidInputError
from registry.learn.compute.contract import Command, Job, NoExecutorError, State
from registry.learn.compute.manifest import LABEL, job_manifest, service_manifest
from registry.learn.compute.records import Records, over, settled
from registry.learn.compute.targets import Target

__all__ = ["Kubernetes"]

_ANSWER_SECONDS: Final = 30
_STEP_SECONDS: Final = 0.5
_CANCEL_SECONDS: Final = 60.0
_GONE: Final = 404
_CANCELLED: Final = "cancelled"
_BLOCK: Final = 65_536


class Kubernetes:
    """Runs commands as Jobs; see :class:`registry.learn.compute.contract.Executor`.

    Args:
        target: What ``compute.yaml`` says of the cluster.
        records: Where its jobs are noted.
    """

    def __init__(self, target: Target, records: Records) -> None:
        self._target, self._records = target, records

    @property
    def name(self) -> str:
        """As ``--on`` names it."""
        return self._target.name

    def script(self, command: Command) -> str:
        """Return the manifest that would be applied, as ``kubectl apply -f`` takes it."""
        import yaml

        documents = self._documents(command, command.name)
        return yaml.safe_dump_all(documents, sort_keys=False, width=100)

    def submit(self, command: Command) -> Job:
        """Hand a command to the cluster.

        Returns:
            The job.

        Raises:
            NoExecutorError: The cluster does not answer, or refuses it.
        """
        batch, core = self._apis()
        job = self._records.new(command, executor=self.name)
        try:
            first, *rest = self._documents(command, job.id)
            made = _asked(lambda: batch.create_namespaced_job(self._namespace, first, **_SOON))
        except BaseException:
            self._records.drop(job)
            raise
        job = replace(job, external=f"{self._namespace}/{job.id}")
        try:
            self._records.save(job)
            for service in rest:
                # Owned by the job, so that it goes with it.
                service["metadata"]["ownerReferences"] = [{
                    "apiVersion": "batch/v1", "kind": "Job", "name": job.id,
                    "uid": made.metadata.uid,
                }]  # fmt: skip
                _asked(lambda: core.create_namespaced_service(self._namespace, service, **_SOON))  # noqa: B023 — called at once
        except BaseException:  # processes that cannot find each other would wait for ever
            self._take_back(batch, job)
            raise
        job.script.write_text(self.script(command), "utf-8")
        return self.status(job)

    def _take_back(self, batch: Any, job: Job) -> None:  # noqa: ANN401 — the client has no types
        """Delete a job that lacks a part; where the cluster does not let it, keep its record."""
        with suppress(NoExecutorError):
            _asked(
                lambda: batch.delete_namespaced_job(
                    job.id, self._namespace, propagation_policy="Background", **_SOON
                )
            )
            self._records.drop(job)

    def status(self, job: Job) -> Job:
        """Return the job as it stands now.

        Raises:
            NoExecutorError: The cluster does not answer.
        """
        if job.state.is_over:
            return settled(job)
        batch, core = self._apis()
        found = _asked(lambda: batch.read_namespaced_job(job.id, self._namespace, **_SOON))
        if (job.folder / _CANCELLED).exists():
            return job if found is not None else over(job, State.CANCELLED)
        if found is None:
            return over(job, State.LOST, reason="the cluster knows it no longer")
        pods = self._pods(core, job)
        attempt = 1 + sum(pod.status.phase == "Failed" for pod in pods)
        now = replace(job, attempt=attempt, external=f"{self._namespace}/{job.id}")
        ended = _ended(found)
        if ended is None:
            running = any(pod.status.phase == "Running" for pod in pods)
            state = State.RUNNING if running else State.QUEUED
            return replace(now, state=state, reason="" if running else _waiting(pods))
        self._keep_log(core, now, pods)
        if ended == "":
            return over(now, State.SUCCEEDED)
        return over(
            replace(now, attempt=max(1, attempt - 1)), State.FAILED, reason=_why(ended, pods)
        )

    def logs(self, job: Job, *, follow: bool = False) -> Iterator[str]:
        """Yield what it has said; what a replaced pod had said comes first."""
        if job.state.is_over or (not follow and self.status(job).state.is_over):
            yield job.log.read_text("utf-8", "replace")
            return
        _, core = self._apis()
        seen: set[str] = set()
        is_over = not follow
        while True:
            for pod in self._pods(core, job):
                if pod.metadata.name not in seen and pod.status.phase != "Pending":
                    seen.add(pod.metadata.name)
                    yield from self._said(core, pod.metadata.name, follow=follow)
            if is_over:
                return
            is_over = self.status(job).state.is_over  # then once more: a last pod's words
            if not is_over:
                time.sleep(_STEP_SECONDS)

    def cancel(self, job: Job) -> Job:
        """End a job.

        Returns:
            The job as it stands then.

        Raises:
            NoExecutorError: The cluster does not answer.
        """
        now = self.status(job)
        if now.state.is_over:
            return now
        batch, core = self._apis()
        self._keep_log(core, now, self._pods(core, now))
        (job.folder / _CANCELLED).touch()
        _asked(
            lambda: batch.delete_namespaced_job(
                job.id, self._namespace, propagation_policy="Foreground", **_SOON
            )
        )
        until = time.monotonic() + _CANCEL_SECONDS
        while not (now := self.status(now)).state.is_over and time.monotonic() < until:
            time.sleep(_STEP_SECONDS)
        return now

    @property
    def _namespace(self) -> str:
        return self._target.namespace

    def _documents(self, command: Command, job_id: str) -> list[dict[str, Any]]:
        service = service_manifest(command, self._target, job_id=job_id)
        return [job_manifest(command, self._target, job_id=job_id)] + ([service] if service else [])

    def _apis(self) -> tuple[Any, Any]:
        try:
            from kubernetes import client, config
        except ImportError as error:
            raise InvalidInputError(
                f"the place '{self.name}' needs a part of eolab that is not installed",
                hint="install it: pip install 'eo-training-data-lab[kubernetes]'",
            ) from error
        try:
            api = config.new_client_from_config(context=self._target.context or None)
        except config.ConfigException as error:
            try:  # inside a pod there is none, but an account
                loaded = client.Configuration()
                config.load_incluster_config(loaded)
                api = client.ApiClient(loaded)
            except config.ConfigException:
                raise NoExecutorError(
                    f"no cluster is known for '{self.name}': {' '.join(str(error).split())}",
                    hint="see that kubectl works here, and which context compute.yaml names",
                ) from error
        return client.BatchV1Api(api), client.CoreV1Api(api)

    def _pods(self, core: Any, job: Job) -> list[Any]:  # noqa: ANN401 — the client has no types
        found = _asked(
            lambda: core.list_namespaced_pod(
                self._namespace, label_selector=f"{LABEL}={job.id}", **_SOON
            )
        )
        pods = found.items if found is not None else []
        return sorted(
            pods, key=lambda pod: (str(pod.metadata.creation_timestamp), pod.metadata.name)
        )

    def _said(self, core: Any, pod: str, *, follow: bool) -> Iterator[str]:  # noqa: ANN401 — as above
        answer = _asked(
            lambda: core.read_namespaced_pod_log(
                pod, self._namespace, follow=follow, _preload_content=False
            )
        )
        if answer is None:
            return
        try:
            for block in answer.stream(_BLOCK):
                yield block.decode("utf-8", "replace")
        finally:
            answer.release_conn()

    def _keep_log(self, core: Any, job: Job, pods: list[Any]) -> None:  # noqa: ANN401 — as above
        with job.log.open("w", encoding="utf-8") as log:
            for pod in pods:
                with suppress(NoExecutorError):  # a pod that is gone has nothing to say
                    log.writelines(self._said(core, pod.metadata.name, follow=False))


_SOON: Final = {"_request_timeout": _ANSWER_SECONDS}


def _ended(found: Any) -> str | None:  # noqa: ANN401 — as above
    """Return how a job ended: ``""`` well, else why not; None while it goes on."""
    for condition in found.status.conditions or ():
        if condition.status == "True" and condition.type == "Complete":
            return ""
        if condition.status == "True" and condition.type == "Failed":
            return str(condition.reason or "Failed")
    return None


def _why(reason: str, pods: list[Any]) -> str:
    if reason == "DeadlineExceeded":
        return "it reached its time limit"
    for pod in reversed(pods):
        for container in pod.status.container_statuses or ():
            if container.state.terminated is not None and container.state.terminated.exit_code:
                return f"it ended with status {container.state.terminated.exit_code}"
    return reason


def _waiting(pods: list[Any]) -> str:
    """Return why no pod runs yet: no node fits, or the image cannot be had."""
    for pod in reversed(pods):
        for container in pod.status.container_statuses or ():
            if container.state.waiting is not None:
                return str(container.state.waiting.reason or "")
        for condition in pod.status.conditions or ():
            if condition.status == "False" and condition.message:
                return str(condition.message)
    return ""


def _asked(call: Callable[[], Any]) -> Any:  # noqa: ANN401 — as above
    """Return the cluster's answer; None where it knows of no such thing.

    Raises:
        NoExecutorError: It does not answer, or refuses.
    """
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    try:
        return call()
    except ApiException as error:
        if error.status == _GONE:
            return None
        said = " ".join(str(error.body or error.reason).split())[:500]
        raise NoExecutorError(
            f"the cluster says {error.status}: {said}",
            hint="see namespace, image and rights: kubectl auth can-i create jobs",
        ) from error
    except HTTPError as error:
        raise NoExecutorError(
            f"the cluster does not answer: {' '.join(str(error).split())[:300]}",
            hint="see that kubectl works here: kubectl get jobs",
        ) from error
