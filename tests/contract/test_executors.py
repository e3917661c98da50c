"""What every place that runs commands promises."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.learn.compute.contract import Command, JobNotFoundError, Resources, State
from registry.learn.compute.processes import of_job
from registry.learn.compute.records import Records
from tests.learn.compute.places import Place, a_cluster, a_slurm, this_machine
from tests.learn.compute.slurm import is_installed, running_slurm

HOSTILE = (
    "$(touch canary)", "`touch canary`", "a b", "'", '"', "\\", "; touch canary", "*", "$HOME",
    "%j", "$(EOLAB_JOB)", "new\nline", "-n", "ünï", "",
)  # fmt: skip


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    if not is_installed():
        pytest.skip("slurm-wlm and munge are not installed")
    with running_slurm(tmp_path_factory.mktemp("slurm") / "s") as cluster:
        yield cluster


@pytest.fixture(params=["local", pytest.param("slurm", marks=pytest.mark.slurm), "kubernetes"])
def place(request, tmp_path, monkeypatch) -> Iterator[Place]:
    # Names that a shell would take apart.
    folder = tmp_path / "it's $(touch canary) %j"
    folder.mkdir()
    monkeypatch.chdir(folder)
    if request.param == "local":
        yield this_machine(folder)
    elif request.param == "slurm":
        slurm = request.getfixturevalue("slurm")
        monkeypatch.setenv("SLURM_CONF", slurm.environment["SLURM_CONF"])
        yield a_slurm(folder, slurm)
    else:
        with a_cluster(folder) as (made, _, kubeconfig):
            monkeypatch.setattr(
                "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(kubeconfig)
            )
            yield made


def shell(text: str, **resources) -> Command:
    return Command(argv=("bash", "-c", text), name="a test", resources=Resources(**resources))


def test_a_job_runs_and_what_it_says_is_kept(place):
    job = place.executor.submit(shell('echo "I am $EOLAB_JOB"; echo also this >&2'))

    assert place.over(job).state == State.SUCCEEDED
    [known] = place.records.all()
    assert known.id == job.id
    assert known.state == State.SUCCEEDED
    said = "".join(place.executor.logs(known)).splitlines()
    assert sorted(said) == [f"I am {job.id}", "also this"]


def test_a_log_is_followed_to_the_jobs_end(place):
    job = place.executor.submit(shell("echo one; sleep 0.7; echo two"))

    assert "".join(place.executor.logs(job, follow=True)).split() == ["one", "two"]
    assert place.executor.status(job).state == State.SUCCEEDED


def test_a_job_that_fails_says_so_with_its_last_lines(place):
    job = place.executor.submit(shell("seq 100; echo 'no such band: B99' >&2; exit 3"))

    ended = place.over(job)
    assert (ended.state, ended.reason) == (State.FAILED, "it ended with status 3")
    assert ended.last_lines.endswith("100\nno such band: B99")
    assert len(ended.last_lines.splitlines()) == 12
    assert ended.attempt == 1
    assert place.executor.status(place.records.find(job.id)).last_lines == ended.last_lines


def test_words_reach_the_program_as_they_are(place):
    write = (
        "import json, sys, os\n"
        "open('words', 'w').write(json.dumps([sys.argv[1:], os.environ['SAID']]))"
    )
    command = Command(
        argv=(sys.executable, "-c", write, *HOSTILE),
        name="$(touch canary) ; touch canary",
        environment={"SAID": HOSTILE[0]},
    )
    ended = place.over(place.executor.submit(command))

    assert ended.state == State.SUCCEEDED, ended.last_lines
    assert json.loads(Path("words").read_text("utf-8")) == [[*HOSTILE], HOSTILE[0]]
    assert [*Path.cwd().rglob("canary")] == []


def test_a_job_is_cancelled_with_all_its_processes(place):
    job = place.executor.submit(shell("sleep 300 & setsid sleep 300 & touch started; wait"))
    place.until(job, lambda _: Path("started").exists())

    assert place.executor.cancel(job).state == State.CANCELLED
    assert place.executor.cancel(place.records.find(job.id)).state == State.CANCELLED
    # A process that left for a session of its own is the place's to find, where it can.
    if place.executor.name == "local":
        assert of_job(job.id) == []


def test_a_job_that_is_killed_goes_on_where_it_stood(place):
    steps = shlex.quote(str(Path("steps").absolute()))
    job = place.executor.submit(
        shell(
            f"begun=$(wc -l < {steps} 2>/dev/null || echo 0)\n"
            f"for i in 1 2 3; do [ $i -gt $begun ] && echo $i $EOLAB_JOB >> {steps}\n"
            f'if [ $i = 2 ] && [ $begun = 0 ]; then sleep 300 & wait; fi; done; echo "from $begun"'
        )
    )
    place.until(job, lambda _: Path("steps").exists() and len(_lines("steps")) == 2)
    place.kill(job)

    ended = place.over(job)
    assert (ended.state, ended.attempt) == (State.SUCCEEDED, 2), ended
    assert _lines("steps") == [f"{i} {job.id}" for i in (1, 2, 3)]
    assert "".join(place.executor.logs(ended)).splitlines()[-1] == "from 2"


def test_a_job_outlives_whoever_handed_it_over(place):
    """A process that hands a job over and is killed at once; its record leads back to the job."""
    config = Path("compute.yaml").absolute()
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "import kubernetes.config.kube_config as k\n"
        "k.KUBE_CONFIG_DEFAULT_LOCATION = os.environ.get('HERE', '')\n"
        "from registry.learn.compute.choosing import executor\n"
        "from registry.learn.compute.contract import Command\n"
        "from registry.learn.compute.records import Records\n"
        "place, folder, config = sys.argv[1:]\n"
        "runs_it = executor(place, config=Path(config), records=Records(Path(folder)))\n"
        "command = Command(argv=('bash', '-c', 'sleep 1; echo still here'), name='orphan')\n"
        "runs_it.submit(command)\n"
        "os.killpg(0, signal.SIGKILL)\n"
    )
    from kubernetes.config import kube_config

    here = {"HERE": str(kube_config.KUBE_CONFIG_DEFAULT_LOCATION)}
    client = subprocess.run(
        [sys.executable, "-c", script, place.executor.name, "jobs", str(config)],
        env=os.environ | here, start_new_session=True, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert client.returncode == -9, client.stderr

    [job] = place.records.all()
    assert place.over(job).state == State.SUCCEEDED
    assert "".join(place.executor.logs(job)) == "still here\n"


def test_what_would_be_handed_over_can_be_read_first(place):
    said = place.executor.script(shell("echo hello"))

    assert "echo hello" in said
    assert place.records.all() == []


def test_a_job_is_found_by_the_beginning_or_the_end_of_its_name(place):
    job = place.executor.submit(shell("true"))

    assert place.records.find("a-test").id == job.id
    assert place.records.find(job.id[-4:]).id == job.id
    with pytest.raises(JobNotFoundError, match="eolab jobs"):
        Records(Path("elsewhere")).find(job.id)
    place.over(job)


def _lines(name):
    return Path(name).read_text("utf-8").splitlines()
