"""A real Slurm: training by several processes and nodes, what goes on, and what is told of it."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from registry.learn.compute.choosing import executor
from registry.learn.compute.contract import Command, NoExecutorError, Resources, State
from registry.learn.compute.records import Records
from tests.learn.compute.places import Place, a_slurm
from tests.learn.compute.slurm import is_installed, running_slurm

pytestmark = pytest.mark.slurm

# Gradient descent on the mean of the ranks' own targets, kept after every step.
TRAINING = """\
import json, os, signal, sys, time
import torch, torch.distributed as ranks

ranks.init_process_group("gloo")
rank, kept = ranks.get_rank(), "checkpoint.json"
state = json.load(open(kept)) if os.path.exists(kept) else {"step": 0, "weight": 0.0}
begun = state["step"]
target = torch.tensor([1.0 + 2 * rank])
weight = torch.tensor([state["weight"]], dtype=torch.float64)
for step in range(begun, 4):
    gradient = weight - target
    ranks.all_reduce(gradient)
    weight = weight - 0.5 * gradient / ranks.get_world_size()
    if rank == 0:
        json.dump({"step": step + 1, "weight": weight.item()}, open(kept + "~", "w"))
        os.replace(kept + "~", kept)
    ranks.barrier()
    if step == 1 and not begun and "wait" in sys.argv:
        time.sleep(300)
if rank == 0:
    print(f"from step {begun}: weight {weight.item()} of {ranks.get_world_size()} ranks")
ranks.destroy_process_group()
"""
WEIGHT = 2 * (1 - 0.5**4)  # after 4 steps towards the mean target of two ranks, from 0

# Keeps what it has when it is told that its time is over, as training does.
UNTIL_TOLD = """\
import os, signal, sys, time
from pathlib import Path
kept = Path("kept")
if kept.exists():
    sys.exit(print("went on"))
def told(*_):
    kept.touch()
    sys.exit(7)
signal.signal(signal.SIGTERM, told)
time.sleep(300)
"""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    if not is_installed():
        pytest.skip("slurm-wlm and munge are not installed")
    with running_slurm(tmp_path_factory.mktemp("slurm") / "s") as cluster:
        yield cluster


@pytest.fixture
def place(slurm, tmp_path, monkeypatch) -> Place:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLURM_CONF", slurm.environment["SLURM_CONF"])
    Path("training.py").write_text(TRAINING, "utf-8")
    return a_slurm(tmp_path, slurm)


def training(*words, **resources) -> Command:
    return Command(
        argv=("python", "training.py", *words), name="train", resources=Resources(**resources),
        environment={"PET_LOCAL_ADDR": "127.0.0.1"},  # torchrun's: this machine's name may be none
    )  # fmt: skip


def lines(place, job) -> list[str]:
    """Return what the job said; torch may warn of peers that left before it."""
    return "".join(place.executor.logs(job)).splitlines()


@pytest.mark.parametrize("spread", [{"processes": 2}, {"nodes": 2}], ids=["processes", "nodes"])
def test_two_tasks_train_together(place, spread):
    ended = place.over(place.executor.submit(training(**spread)))

    assert ended.state == State.SUCCEEDED, ended.last_lines
    assert f"from step 0: weight {WEIGHT} of 2 ranks" in lines(place, ended)


def test_two_tasks_go_on_after_their_job_was_preempted(place, slurm):
    job = place.executor.submit(training("wait", processes=2))
    place.until(job, lambda _: '"step": 2' in _text("checkpoint.json"))
    slurm.ask("scontrol", "requeue", job.external)  # as a job of higher priority would have it

    ended = place.over(job)
    assert (ended.state, ended.attempt) == (State.SUCCEEDED, 2), ended
    assert f"from step 2: weight {WEIGHT} of 2 ranks" in lines(place, ended)


def test_two_tasks_are_cancelled(place):
    job = place.executor.submit(training("wait", processes=2))
    place.until(job, lambda _: '"step": 2' in _text("checkpoint.json"))

    assert place.executor.cancel(job).state == State.CANCELLED


def test_a_job_whose_time_is_nearly_over_keeps_what_it_has_and_is_queued_again(place, tmp_path):
    (tmp_path / "compute.yaml").write_text("soon: {kind: slurm, warn_seconds: 60}\n", "utf-8")
    soon = executor("soon", config=tmp_path / "compute.yaml", records=place.records)
    command = Command(
        argv=(sys.executable, "-c", UNTIL_TOLD), name="long", resources=Resources(minutes=1)
    )
    ended = place.over(soon.submit(command))

    assert ended.state == State.SUCCEEDED, ended
    assert ended.attempt >= 2  # told before it could listen, it is told a second time
    said = "".join(soon.logs(ended))
    assert "its time is nearly over; queued again" in said
    assert said.endswith("went on\n")


def test_a_job_that_somebody_else_cancels_is_not_begun_again(place, slurm):
    job = place.executor.submit(Command(argv=("sleep", "300"), name="sleep"))
    place.until(job, lambda now: now.state == State.RUNNING)
    slurm.ask("scancel", job.external)

    assert place.over(job).state == State.CANCELLED


def test_options_of_the_place_reach_slurm(place, slurm, tmp_path):
    (tmp_path / "compute.yaml").write_text(
        "mine:\n  kind: slurm\n  partition: cpu\n  time: 00:07:00\n  memory_gb: 1\n"
        "  options: {nice: 5, comment: an-example}\n  setup: [export FROM=setup]\n"
        "  container: env IN=container\n  python: python3\n  environment: {SAID: 'a b'}\n",
        "utf-8",
    )
    mine = executor("mine", config=tmp_path / "compute.yaml", records=place.records)
    job = mine.submit(Command(argv=("bash", "-c", "echo $FROM/$IN/$SAID; sleep 2"), name="x"))
    said = slurm.ask("scontrol", "-o", "show", "job", job.external)

    assert "TimeLimit=00:07:00" in said
    assert "Comment=an-example" in said
    assert "MinMemoryNode=953M" in said
    assert "setup/container/a b" in lines(place, place.over(job))


def test_what_slurm_refuses_is_said_in_its_words_and_leaves_no_record(place, tmp_path):
    (tmp_path / "compute.yaml").write_text("slurm: {partition: nowhere}\n", "utf-8")
    wrong = executor("slurm", config=tmp_path / "compute.yaml", records=place.records)

    with pytest.raises(NoExecutorError, match="invalid partition"):
        wrong.submit(Command(argv=("true",), name="x"))
    assert place.records.all() == []


def test_a_job_that_slurm_has_forgotten_is_known_by_what_it_left(place, monkeypatch):
    ended = [
        place.executor.submit(Command(argv=("bash", "-c", f"exit {status}"), name="x"))
        for status in (0, 4)
    ]
    for job in ended:
        place.until(job, lambda now: (now.folder / "exit").exists() and now.state.is_over)
    for job in ended:
        Records.save(job)  # as if nobody had looked since it was handed over
    monkeypatch.setattr("registry.learn.compute.slurm._asked", _forgetful)

    first, second = (place.executor.status(job) for job in ended)
    assert first.state == State.SUCCEEDED
    assert (second.state, second.reason) == (State.FAILED, "it ended with status 4")


def test_a_number_that_slurm_has_given_to_another_job_is_not_taken_for_it(place):
    other = place.over(place.executor.submit(Command(argv=("true",), name="other")))
    job = place.over(place.executor.submit(Command(argv=("true",), name="mine")))
    (job.folder / "exit").unlink()

    known = replace(job, external=other.external, state=State.QUEUED)
    assert place.executor.status(known).state == State.LOST


def _forgetful(*words):
    raise NoExecutorError(f"{words[0]} says: Invalid job id specified", hint="")


def _text(name):
    return Path(name).read_text("utf-8") if Path(name).exists() else ""
