"""A device that is not there is one line, before anything is read."""

import pytest

from registry.cli.app import run
from registry.errors import InvalidInputError
from registry.learn import devices
from registry.learn.devices import NoDeviceError

EVALUATE = ("evaluate", "net@v1", "--on", "fields@v1")
PREDICT = ("predict", "net@v1", "scene.tif", "-o", "map.tif")
FETCH = (
    "predict", "net@v1", "--from", "hls-s30", "--aoi", "1,2,3,4", "--time", "2023", "-o", "map.tif",
)  # fmt: skip


@pytest.fixture(autouse=True)
def bare(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EOLAB_LAKE", raising=False)
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
