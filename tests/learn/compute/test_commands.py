"""``--on``, ``eolab jobs``, ``eolab logs``, ``eolab cancel``, as people type them."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from registry.cli.app import run
from registry.cli.on import Place, command_of
from registry.learn.compute.contract import Command
from registry.learn.compute.records import Records

NO_MODEL = ("predict", "no-such-model", "a.tif", "-o", "b.tif")
OWN = ("--on", "own")
"""A place with a lake of its own, where a job finds out itself what is impossible."""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("EOLAB_JOBS", "EOLAB_COMPUTE", "EOLAB_LAKE", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert run(["init"]) == 0
    own = {"own": {"kind": "local", "environment": {"EOLAB_LAKE": str(tmp_path / ".eolab/lake")}}}
    (tmp_path / ".eolab/compute.yaml").write_text(json.dumps(own), "utf-8")
    monkeypatch.setenv("EOLAB_COMPUTE", str(tmp_path / ".eolab/compute.yaml"))


def said(capfd):
    return capfd.readouterr().out


def document(capfd):
    return json.loads(said(capfd))


def test_a_command_is_handed_over_followed_and_listed(capfd):
    assert run([*NO_MODEL, *OWN, "--json"]) == 0
    job = document(capfd)
    assert job["job"].startswith("predict-no-such-model-")
    assert job["command"] == ["eolab", *NO_MODEL, "--json"]

    assert run(["logs", job["job"][:-4], "--follow"]) == 1
    assert "no-such-model" in said(capfd)

    assert run(["jobs", "--json"]) == 0
    [known] = document(capfd)
    assert (known["job"], known["state"]) == (job["job"], "failed")
    assert known["reason"] == "it ended with status 3"
    assert "no-such-model" in known["last_lines"]
    assert run(["jobs"]) == 0
    assert "failed" in said(capfd)


def test_records_lie_beside_the_lake_wherever_one_stands(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("EOLAB_LAKE", str(tmp_path / ".eolab/lake"))
    assert run([*NO_MODEL, *OWN, "--json"]) == 0
    job = document(capfd)["job"]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    assert run(["jobs", "--json"]) == 0
    assert [one["job"] for one in document(capfd)] == [job]
    assert (tmp_path / ".eolab/jobs" / job / "log").exists()
    run(["cancel", job])


def test_jobs_are_known_to_other_sessions_than_the_one_that_asked(capfd):
    subprocess.run(
        [sys.executable, "-m", "registry.cli", *NO_MODEL, *OWN],
        start_new_session=True, check=True, capture_output=True,
    )  # fmt: skip
    until = time.monotonic() + 240
    while True:
        assert run(["jobs", "--json"]) == 0
        [job] = document(capfd)
        if job["state"] == "failed":
            break
        assert time.monotonic() < until
        time.sleep(0.2)
    assert job["reason"] == "it ended with status 3"


@pytest.mark.parametrize("place", ["local", "slurm"])
def test_print_shows_what_would_be_handed_over_and_does_nothing(place, capfd):
    typed = ["train", "burn-scars-unet", "--set", "title=a b", "--on", place, "--processes", "2"]
    assert run([*typed, "--print"]) == 0

    script = said(capfd)
    assert "--nproc-per-node=2 " in script
    assert "-m registry.cli train burn-scars-unet --set 'title=a b'" in script
    assert f"export EOLAB_LAKE={Path('.eolab/lake').absolute()}" in script
    assert Records().all() == []
    if place == "slurm":
        checked = subprocess.run(["bash", "-n"], input=script, text=True, check=False)
        assert checked.returncode == 0


def test_a_map_is_made_by_one_process_however_many_processors_it_has(capfd):
    words = ["predict", "m@v1", "a.tif", "-o", "b.tif", "--on", "slurm", "--gpus", "4"]
    assert run([*words, "--print"]) == 0

    script = said(capfd)
    assert "--gres=gpu:4" in script
    assert "torch.distributed.run" not in script


def test_a_time_limit_is_minutes_or_hours_and_minutes(capfd):
    assert run(["train", "eurosat", "--on", "slurm", "--time-limit", "4:30", "--print"]) == 0
    assert "#SBATCH --time=270" in said(capfd)
    assert run(["train", "eurosat", "--on", "slurm", "--time-limit", "soon", "--print"]) == 2


@pytest.mark.parametrize(
    ("typed", "status"),
    [
        (["train", "eurosat", "--on", "the-moon"], 3),
        (["logs", "no-such-job"], 3),
        (["cancel", "no-such-job"], 3),
        (["train", "eurosat", "--smoke", "--nodes", "2"], 2),
    ],
)
def test_what_cannot_be_is_refused(typed, status):
    assert run(typed) == status
    assert Records().all() == []


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["train", "floods-prithvi"], "there is no dataset 'sen1floods11'"),
        (["train", "eurosat", "--data", "nope@v1"], "there is no dataset 'nope'"),
        (["pretrain", "mae-hls", "--data", "nope@v1"], "there is no dataset 'nope'"),
        (["evaluate", "nope@v1", "--data", "nope@v1"], "there is no model 'nope'"),
        (["evaluate", "nope@v1", "--data", "nope@v1", "--device", "cudda"], "no device 'cudda'"),
        (["floor", "nope@v1"], "there is no dataset 'nope'"),
        (NO_MODEL, "there is no model 'no-such-model'"),
    ],
)
@pytest.mark.parametrize("on", ["local", "slurm"])
def test_what_a_job_could_not_begin_is_not_handed_over(capfd, words, problem, on):
    assert run([*words, "--on", on]) in {2, 3}
    assert problem in capfd.readouterr().err
    assert Records().all() == []


@pytest.mark.parametrize(
    ("place", "hint"),
    [("slurrm", "did you mean 'slurm'?"), ("moon", "places are local, slurm, kubernetes, own")],
)
def test_of_two_words_the_one_that_is_no_place_is_said(capfd, place, hint):
    assert run(["evaluate", "net@v1", "--on", "fields@v1", "--on", place]) == 2

    said = capfd.readouterr().err
    assert f"'{place}' is neither a version" in said
    assert hint in said


def test_a_place_without_slurm_says_where_to_go(monkeypatch, capfd, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))

    assert run(["train", "eurosat", "--smoke", "--on", "slurm"]) == 7
    assert "sbatch is not installed on this machine" in capfd.readouterr().err
    assert Records().all() == []


def test_a_job_is_cancelled_by_a_part_of_its_name(capfd):
    from registry.learn.compute.choosing import executor
    from registry.learn.compute.contract import Command

    job = executor("local").submit(Command(argv=("sleep", "300"), name="sleep"))

    assert run(["cancel", "sleep"]) == 0
    assert said(capfd) == f"job {job.id} is cancelled\n"
    assert run(["cancel", "sleep"]) == 0
    assert said(capfd) == f"job {job.id} was cancelled already\n"


def test_a_job_of_several_processes_fails_with_the_words_of_its_own(tmp_path):
    from registry.learn.compute.choosing import executor
    from registry.learn.compute.contract import Command, Resources

    here = executor("local")
    asked = Command(
        argv=("bash", "-c", "echo 'error: no such band: B99' >&2; exit 3"), name="x",
        resources=Resources(processes=2),
    )  # fmt: skip
    job = here.submit(asked)
    log = "".join(here.logs(job, follow=True))

    assert "ChildFailedError" in log
    assert here.status(job).last_lines.splitlines()[-1] == "error: no such band: B99"


def test_a_record_that_somebody_else_has_put_there_is_no_job(capfd):
    for name, text in (("a", "{"), ("b", "[]"), ("c", '{"id": "c"}')):
        (Path(".eolab/jobs") / name).mkdir(parents=True)
        (Path(".eolab/jobs") / name / "job.json").write_text(text, "utf-8")

    assert run(["jobs", "--json"]) == 0
    assert document(capfd) == []


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("train", "recipe", "--name", "mine"), "train mine"),
        (("train", "recipe", "--name=mine"), "train mine"),
        (("train", "recipes/x.yaml", "--seed", "2"), "train x"),
        (("train", "x.yaml"), "train x"),
        (("train", "recipe", "--name"), "train recipe"),
        (("predict", "m@v1", "--", "--name", "a"), "predict m@v1"),
    ],
)
def test_a_job_is_called_by_the_name_that_its_command_gives(words, name):
    assert command_of(Place({}), words).name == Command(argv=("x",), name=name).name
