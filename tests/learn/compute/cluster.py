"""A cluster of the test's own: Kubernetes' API for jobs, whose pods are processes of this machine.

Of a Job it takes what a node would: command, environment, mounts, working folder; each pod begins
in a clean folder with nothing else in its environment. It keeps to the Job's own rules for what
begins again. Images and networks it does not have.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

__all__ = ["Cluster", "faithful", "running_cluster"]


def faithful(document: dict, kind: str) -> bool:
    """Whether the API's own models know every field of a document, under these very names."""
    from kubernetes import client

    api = client.ApiClient()
    model = api.deserialize(SimpleNamespace(data=json.dumps(document)), kind)
    return api.sanitize_for_serialization(model) == document


class Cluster:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jobs: dict[str, dict] = {}
        self.services: dict[str, dict] = {}
        self.pods: dict[str, dict] = {}
        self.processes: dict[str, subprocess.Popen] = {}
        self.threads: list[threading.Thread] = []
        self.lock = threading.RLock()

    def create(self, job: dict) -> dict:
        name = job["metadata"]["name"]
        job["metadata"]["uid"] = f"uid-{name}"
        job["status"] = {}
        with self.lock:
            self.jobs[name] = job
        thread = threading.Thread(target=self._control, args=(job,), daemon=True)
        self.threads.append(thread)
        thread.start()
        return job

    def delete(self, name: str) -> None:
        with self.lock:
            self.jobs.pop(name)["deleted"] = True
            mine = [pod for pod in list(self.processes) if pod.startswith(f"{name}-")]
        for pod in mine:
            self.kill(pod, signal.SIGTERM)

    def kill(self, pod: str, number: signal.Signals = signal.SIGKILL) -> None:
        process = self.processes[pod]
        if process.poll() is None:
            os.killpg(process.pid, number)

    def _control(self, job: dict) -> None:
        spec, failed = job["spec"], 0
        while not job.get("deleted"):
            status = self._run(job, failed)
            if job.get("deleted"):
                break
            if status == 0:
                self._conclude(job, "Complete", "")
                break
            failed += 1
            rules = [rule["onExitCodes"] for rule in spec["podFailurePolicy"]["rules"]
                     if "onExitCodes" in rule]  # fmt: skip
            if any(rule["operator"] == "NotIn" and status not in rule["values"] for rule in rules):
                self._conclude(job, "Failed", "PodFailurePolicy")
                break
            if failed > spec["backoffLimit"]:
                self._conclude(job, "Failed", "BackoffLimitExceeded")
                break

    def _conclude(self, job: dict, kind: str, reason: str) -> None:
        job["status"] = {"conditions": [{"type": kind, "status": "True", "reason": reason}]}

    def _run(self, job: dict, number: int) -> int:
        template = job["spec"]["template"]
        [container] = template["spec"]["containers"]
        name = f"{job['metadata']['name']}-{number}x"
        clean = self.folder / name
        clean.mkdir()
        environment = {one["name"]: one["value"] for one in container["env"]}
        real = {name: _expanded(value, environment) for name, value in environment.items()}
        words = [_expanded(word, real) for word in container["command"]]
        if words[0] == "python":
            words[0] = sys.executable
        self._check_mounts(template["spec"], container)
        with (clean / "log").open("wb") as log:
            process = subprocess.Popen(
                words, env={"PATH": os.environ["PATH"], **real},
                cwd=container.get("workingDir", clean), stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True,
            )  # fmt: skip
        self.processes[name] = process
        self.pods[name] = pod = {
            "metadata": {
                "name": name, "labels": template["metadata"]["labels"],
                "creationTimestamp": datetime.now(tz=UTC).isoformat(),
            },
            "status": {"phase": "Running"},
        }  # fmt: skip
        status = process.wait()
        status = 128 - status if status < 0 else status
        pod["status"] = {
            "phase": "Failed" if status else "Succeeded",
            "containerStatuses": [{
                "name": container["name"], "image": container["image"], "imageID": "",
                "ready": False, "restartCount": 0, "state": {"terminated": {"exitCode": status}},
            }],
        }  # fmt: skip
        return status

    @staticmethod
    def _check_mounts(pod: dict, container: dict) -> None:
        """Hold that the node shows its folders under their own paths: no pod has a root here."""
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for mount in container["volumeMounts"]:
            volume = volumes[mount["name"]]
            if "hostPath" in volume:
                assert volume["hostPath"]["path"] == mount["mountPath"]
                assert Path(mount["mountPath"]).is_dir()


def _expanded(text: str, environment: dict[str, str]) -> str:
    """As a node does it: ``$(NAME)`` is a variable, ``$$(`` is no beginning of one."""
    return re.sub(
        r"\$\$\(|\$\(([A-Za-z_][A-Za-z0-9_]*)\)",
        lambda found: "$(" if found[1] is None else environment.get(found[1], found[0]),
        text,
    )


class _Api(BaseHTTPRequestHandler):
    cluster: Cluster
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        kind = "V1Job" if document["kind"] == "Job" else "V1Service"
        if not faithful(document, kind):
            return self._say(400, {"message": "strict decoding error: unknown field"})
        if kind == "V1Job":
            return self._say(201, self.cluster.create(document))
        self.cluster.services[document["metadata"]["name"]] = document
        return self._say(201, document)

    def do_DELETE(self):
        name = urlsplit(self.path).path.rsplit("/", 1)[1]
        if name not in self.cluster.jobs:
            return self._say(404, {})
        self.cluster.delete(name)
        return self._say(200, {"status": "Success"})

    def do_GET(self):
        parts = urlsplit(self.path)
        words, query = parts.path.strip("/").split("/"), parse_qs(parts.query)
        if words[-2] == "jobs":
            job = self.cluster.jobs.get(words[-1])
            return self._say(200, job) if job else self._say(404, {})
        if words[-1] == "pods":
            name, value = query["labelSelector"][0].split("=")
            pods = [pod for pod in list(self.cluster.pods.values())
                    if pod["metadata"]["labels"].get(name) == value]  # fmt: skip
            return self._say(200, {"kind": "PodList", "items": pods})
        return self._log(words[-2], follow=query.get("follow") == ["True"])

    def _log(self, pod, *, follow):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        process = self.cluster.processes[pod]
        with (self.cluster.folder / pod / "log").open("rb") as log:
            while True:
                is_over = not follow or process.poll() is not None
                self.wfile.write(log.read())
                if is_over:
                    return
                time.sleep(0.02)

    def _say(self, status, document):
        said = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)


@contextmanager
def running_cluster(folder: Path) -> Iterator[tuple[Cluster, Path]]:
    """Yield a cluster, and the kubeconfig that leads to it."""
    folder.mkdir(parents=True)
    cluster = Cluster(folder)
    handler = type("Api", (_Api,), {"cluster": cluster})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    config = folder / "kubeconfig"
    address = f"http://127.0.0.1:{server.server_address[1]}"
    config.write_text(
        json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": address}}],
            "users": [{"name": "me", "user": {}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        }),
        "utf-8",
    )  # fmt: skip
    try:
        yield cluster, config
    finally:
        for name in list(cluster.jobs):
            cluster.delete(name)
        for pod in list(cluster.processes):
            cluster.kill(pod)
        for one in cluster.threads:
            one.join(timeout=10)
        server.shutdown()
        server.server_close()
        thread.join()
