"""Jobs on a real cluster of two workers: killed, cancelled, starved; nothing is left behind."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from registry.curate import jobs
from registry.curate.features.threads import on_threads
from registry.errors import UnavailableError
from registry.progress import SILENT
from tests.spark.cluster import of_session, wait_for
from tests.spark.conftest import fill, work_on

pytestmark = pytest.mark.spark

JOB = Path(__file__).with_name("job.py")
PARENT = """
import json, sys
from registry.curate import jobs
jobs._program = lambda job: [sys.executable, sys.argv[1]]
jobs.launch("test", json.loads(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    fill(folder, 24)
    return folder


@pytest.fixture
def asked(root, tmp_path, monkeypatch):
    """Return what the job of a test is asked."""
    monkeypatch.setattr(jobs, "_program", lambda _: [sys.executable, str(JOB)])
    monkeypatch.setenv("EOLAB_CACHE", str(tmp_path / "cache"))
    marks = tmp_path / "marks"
    marks.mkdir()
    return {"work": work_on(root).to_json(), "out": str(tmp_path / "out"), "marks": str(marks)}


@pytest.fixture
def on_cluster(cluster, monkeypatch):
    monkeypatch.setenv("SPARK_MASTER", cluster.master)
    monkeypatch.setenv("EOLAB_SPARK_SETTINGS", "spark.executor.memory=512m")
    return cluster


def values(folder):
    return pq.read_table(folder).sort_by("sample")


def marked(asked, what):
    return [int(one.name.partition("-")[2]) for one in Path(asked["marks"]).glob(f"{what}-*")]


def is_right(asked, root, tmp_path):
    on_threads(work_on(root), tmp_path / "library", SILENT)
    return values(asked["out"]).equals(values(tmp_path / "library"))


def test_a_worker_and_an_executor_die_and_the_job_ends_right(on_cluster, asked, root, tmp_path):
    found = []
    running = threading.Thread(
        target=lambda: found.append(jobs.launch("test", asked | {"slow": 1.0}))
    )
    running.start()
    victims = wait_for(lambda: marked(asked, "worker"))
    os.kill(victims[0], signal.SIGKILL)
    executors = wait_for(on_cluster.executors)
    os.kill(executors[0], signal.SIGKILL)
    running.join()
    assert found == [{"master": on_cluster.master}]
    assert is_right(asked, root, tmp_path)


def test_a_cluster_that_gives_no_worker_is_told_in_bounded_time(on_cluster, asked, monkeypatch):
    monkeypatch.setenv("EOLAB_SPARK_WAIT", "1")
    with pytest.raises(UnavailableError, match=r"gave no worker within 1 seconds"):
        jobs.launch("test", asked, settings={"spark.executor.memory": "900g"})
    wait_for(lambda: not of_session(*marked(asked, "driver")))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_whoever_is_stopped_leaves_no_process_behind(java, asked, how):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(JOB), json.dumps(asked | {"slow": 5.0})],
        env={**os.environ, "SPARK_MASTER": "local[2]"},
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: marked(asked, "worker"))
    (driver,) = marked(asked, "driver")
    assert len(of_session(driver)) > 2  # Python, Java, workers
    os.kill(parent.pid, how)
    parent.wait()
    wait_for(lambda: not of_session(driver))
    assert not list(Path(asked["out"]).glob("*"))


def test_a_driver_that_is_killed_leaves_nothing_and_the_next_run_works(
    java, asked, root, tmp_path, monkeypatch
):
    monkeypatch.setenv("SPARK_MASTER", "local[2]")

    def kill():
        wait_for(lambda: marked(asked, "worker"))
        os.kill(marked(asked, "driver")[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(jobs.JobFailedError, match=r"ended by SIGKILL\n  hint: read its log: /"):
        jobs.launch("test", asked | {"slow": 5.0})
    killer.join()
    wait_for(lambda: not of_session(marked(asked, "driver")[0]))
    assert not list(Path(asked["out"]).glob("*"))
    assert jobs.launch("test", asked) == {"master": "local[2,4]"}
    assert is_right(asked, root, tmp_path)


def test_a_disk_without_room_for_spark_is_told(java, asked, monkeypatch):
    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    limited = ["bash", "-c", 'ulimit -f 24; exec "$@"', "-", sys.executable, str(JOB)]
    monkeypatch.setattr(jobs, "_program", lambda _: limited)
    with pytest.raises(UnavailableError, match="there is no room for what Spark writes"):
        jobs.launch("test", asked)
    wait_for(lambda: not of_session(*marked(asked, "driver")))
