"""Manifests are what Kubernetes' own schema knows; nothing of the user's is expanded in them."""

import json
from types import SimpleNamespace

import pytest
import yaml
from kubernetes.client import ApiException

from registry.errors import InvalidInputError
from registry.learn.compute.choosing import executor
from registry.learn.compute.contract import Command, NoExecutorError, Resources, State
from registry.learn.compute.kubernetes import Kubernetes
from registry.learn.compute.manifest import for_pipes, job_manifest, service_manifest
from registry.learn.compute.records import Records
from registry.learn.compute.targets import target
from tests.learn.compute.cluster import faithful
from tests.learn.compute.places import a_cluster

SECTION = {
    "kind": "kubernetes", "image": "example.org/lab:1", "namespace": "eo", "cpus": 8,
    "memory_gb": 32, "environment": {"EOLAB_LAKE": "lakefs://lake:8000"},
    "mounts": [
        {"path": "/cache", "claim": "cache"},
        {"path": "/data", "host": "/mnt/d", "read_only": True},
    ],
    "secrets": ["lakefs-keys"], "node_selector": {"gpu": "a100"}, "service_account": "trainer",
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    "pull_secrets": ["registry"], "workdir": "/cache", "keep_hours": 2,
}  # fmt: skip


@pytest.fixture
def cloud(tmp_path):
    file = tmp_path / "compute.yaml"
    file.write_text(yaml.safe_dump({"cloud": SECTION}), "utf-8")
    return target("cloud", file)


def command(*argv, **resources):
    return Command(argv=argv or ("eolab", "train", "x"), name="train x",
                   resources=Resources(**resources))  # fmt: skip


@pytest.mark.parametrize(
    "resources", [{}, {"gpus": 4, "minutes": 90}, {"nodes": 2, "gpus": 8}, {"processes": 2}]
)
def test_every_field_is_one_that_the_api_knows(cloud, resources):
    made = job_manifest(command(**resources), cloud, job_id="train-x-1")
    service = service_manifest(command(**resources), cloud, job_id="train-x-1")

    assert faithful(made, "V1Job")
    assert service is None or faithful(service, "V1Service")
    assert (service is None) == (resources.get("nodes", 1) == 1)
    assert not faithful({**made, "sepc": {}}, "V1Job")


def test_it_asks_for_what_the_command_needs(cloud):
    spec = job_manifest(command(gpus=4, minutes=90), cloud, job_id="j")["spec"]
    [container] = spec["template"]["spec"]["containers"]

    assert container["resources"]["limits"] == {"memory": "32G", "nvidia.com/gpu": "4"}
    assert spec["activeDeadlineSeconds"] == 5400
    assert "--nproc-per-node=4" in container["command"]
    assert container["command"][-3:] == ["registry.cli", "train", "x"]


def test_several_nodes_meet_at_the_first_by_name(cloud):
    spec = job_manifest(command(gpus=8, nodes=2), cloud, job_id="j")["spec"]
    [container] = spec["template"]["spec"]["containers"]

    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 2, 2)
    assert spec["template"]["spec"]["subdomain"] == "j"
    assert "--rdzv-endpoint=j-0.j:29400" in container["command"]


def test_no_key_of_this_machine_is_written_into_it(cloud, monkeypatch):
    monkeypatch.setenv("LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY", "s3cr3t")

    assert "s3cr3t" not in json.dumps(job_manifest(command(), cloud, job_id="j"))


def test_a_lake_that_the_cluster_does_not_see_is_told_before_anything_is_submitted(tmp_path):
    file = tmp_path / "compute.yaml"
    file.write_text("kubernetes: {image: lab}\n", "utf-8")
    asked = Command(argv=("eolab",), name="x", environment={"EOLAB_LAKE": "/home/ann/lake"})

    with pytest.raises(InvalidInputError, match="no mount of 'kubernetes' shows the lake"):
        executor("kubernetes", config=file).script(asked)
    with pytest.raises(InvalidInputError, match="no image"):
        executor("kubernetes", config=_empty(tmp_path)).script(asked)


def test_dagsters_own_client_is_given_the_same_container(cloud):
    said = for_pipes(command(gpus=1), cloud, job_id="j")

    assert said["image"] == "example.org/lab:1"
    assert said["env"]["EOLAB_LAKE"] == "lakefs://lake:8000"
    [container] = said["base_pod_spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert not {"image", "command", "env"} & set(container)


def test_what_print_shows_is_what_kubectl_takes(cloud, tmp_path):
    runs_it = executor("cloud", config=tmp_path / "compute.yaml")
    documents = [*yaml.safe_load_all(runs_it.script(command(nodes=2)))]

    assert [one["kind"] for one in documents] == ["Job", "Service"]


def test_a_cluster_that_nobody_answers_at_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none")
    )
    file = tmp_path / "compute.yaml"
    file.write_text("kubernetes: {image: lab}\n", "utf-8")

    with pytest.raises(NoExecutorError, match="no cluster is known"):
        executor("kubernetes", config=file, records=Records(tmp_path / "jobs")).submit(
            Command(argv=("true",), name="x")
        )


def test_a_job_that_is_killed_too_often_has_failed(tmp_path, monkeypatch):
    with a_cluster(tmp_path) as (place, _, kubeconfig):
        monkeypatch.setattr(
            "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(kubeconfig)
        )
        job = place.executor.submit(
            Command(argv=("bash", "-c", "kill -9 $$"), name="x", resources=Resources(restarts=1))
        )
        ended = place.over(job)

    assert (ended.state, ended.attempt) == (State.FAILED, 2)
    assert ended.reason == "it ended with status 137"


def _empty(folder):
    file = folder / "empty.yaml"
    file.write_text("", "utf-8")
    return file


def test_a_job_whose_service_is_refused_is_taken_back(cloud, tmp_path, monkeypatch):
    deleted = []

    class Batch:
        def create_namespaced_job(self, _, document, **__):
            meta = SimpleNamespace(uid="u", name=document["metadata"]["name"])
            return SimpleNamespace(metadata=meta)

        def delete_namespaced_job(self, name, _, **__):
            deleted.append(name)

    class Core:
        def create_namespaced_service(self, *_, **__):
            raise ApiException(status=403, reason="no services for you")

    records = Records(tmp_path / "jobs")
    place = Kubernetes(cloud, records)
    monkeypatch.setattr(place, "_apis", lambda: (Batch(), Core()))
    with pytest.raises(NoExecutorError, match="no services for you"):
        place.submit(command(nodes=2))
    assert [one[:8] for one in deleted] == ["train-x-"]
    assert records.all() == []
