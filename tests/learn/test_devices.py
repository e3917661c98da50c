"""A device that is not there is one line, before anything is read."""

import pytest

from registry.cli.app import run
from registry.errors import InvalidInputError
from registry.learn import devices
from registry.learn.compute.records import Records
from registry.learn.devices import NoDeviceError

EVALUATE = ("evaluate", "net@v1", "--on", "fields@v1")
PREDICT = ("predict", "net@v1", "scene.tif", "-o", "map.tif")
FETCH = (
    "predict", "net@v1", "--from", "hls-s30", "--aoi", "1,2,3,4", "--time", "2023", "-o", "map.tif",
)  # fmt: skip


@pytest.fixture(autouse=True)
def bare(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("EOLAB_LAKE", "EOLAB_JOBS", "EOLAB_COMPUTE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(devices, "gpus", lambda kind=None: 0 if kind == "cpu" else 1)
    assert run(["init"]) == 0


@pytest.mark.parametrize("words", [EVALUATE, PREDICT, FETCH])
@pytest.mark.parametrize(
    ("device", "status", "problem"),
    [
        ("cudda", 2, "there is no device 'cudda'"),
        ("cuda:1", 7, "this machine has no device 'cuda:1': torch finds 1 GPU"),
    ],
)
def test_commands_refuse_a_device_before_all_else(capfd, words, device, status, problem):
    capfd.readouterr()

    assert run([*words, "--device", device]) == status

    lines = capfd.readouterr().err.splitlines()
    assert lines[0].startswith(f"error: {problem}")
    assert lines[1].startswith("  hint: ")
    assert len(lines) == 2


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:0", "mps"])
def test_a_device_that_is_there_is_taken(device):
    assert devices.checked(device) == device


@pytest.mark.parametrize("device", ["", "cpu:1", "cuda:", "cuda:-1", "cuda:9999", "meta", "CUDA"])
def test_what_is_no_device_anywhere_is_said_so(device):
    with pytest.raises(InvalidInputError, match="there is no device"):
        devices.named(device)


def test_a_model_is_not_opened_on_a_device_that_is_not_there():
    from registry.learn.models.opening import network

    with pytest.raises(NoDeviceError, match="'cuda:2'"):
        network(None, device="cuda:2")


@pytest.mark.parametrize("on", [(), ("--on", "local")])
def test_this_machine_is_not_asked_for_more_than_it_has(capfd, on):
    capfd.readouterr()

    assert run(["train", "eurosat", "--smoke", "--gpus", "4", *on]) == 7

    assert capfd.readouterr().err.splitlines() == [
        "error: this machine has 1 GPU that torch finds, not 4",
        "  hint: ask for 1, or name a place that has them: --on slurm --gpus 4",
    ]
    assert Records().all() == []


def test_a_cluster_is_asked_for_what_this_machine_has_not(capfd):
    capfd.readouterr()

    assert run(["train", "eurosat", "--smoke", "--gpus", "4", "--on", "slurm", "--print"]) == 0

    assert "export EOLAB_GPUS=4" in capfd.readouterr().out


@pytest.mark.parametrize(
    "words", [("train", "eurosat", "--smoke"), ("predict", "a", "b.tif", "-o", "c.tif"), EVALUATE]
)
def test_a_job_with_fewer_than_it_was_promised_ends_at_once(capfd, monkeypatch, words):
    monkeypatch.setenv("EOLAB_GPUS", "2")
    capfd.readouterr()

    assert run(words) == 7

    error, *_ = capfd.readouterr().err.splitlines()
    assert error == "error: this job was promised 2 GPUs, and torch finds 1"


@pytest.mark.parametrize(
    ("promised", "asked", "found"),
    [(None, None, "cpu"), ("0", None, "cpu"), ("1", None, "cuda"), ("1", "cpu", "cpu")],
)
def test_a_job_runs_on_the_processors_that_it_was_promised(monkeypatch, promised, asked, found):
    if promised is not None:
        monkeypatch.setenv("EOLAB_GPUS", promised)

    assert devices.chosen(asked) == found
