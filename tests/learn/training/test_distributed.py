"""Two processes that share each batch learn what one learns, from one checkpoint."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from registry.learn.models.weights import read
from registry.learn.training import checkpoints, fit, tasks
from tests.learn.training.shared_run import Resting


@pytest.fixture
def recipe(shared, recipe_of):
    # One step takes all 72 samples, so that both ways see the same ones; a norm over the batch
    # would see half of them in each process.
    return recipe_of(
        shared.scenes, task="classification", epochs=4,
        **{
            "data.batch_size": 72, "data.augment": [], "optimiser.name": "sgd",
            "architecture.args": {"name": "vit", "width": 16, "depth": 4, "heads": 2},
            "optimiser.lr": 0.1, "stop.keep": "last",
        },
    )  # fmt: skip


@pytest.fixture
def uneven(shared, recipe_of, monkeypatch):
    monkeypatch.setattr(tasks, "Task", Resting)
    # Of burnt pixels, of which some samples have many and some none, all others saying nothing.
    return recipe_of(
        shared.burns, epochs=3,
        **{
            "name": "uneven", "heads.0.ignore": 0, "heads.0.class_weights": [1.0, 3.0],
            "data.batch_size": 18, "data.augment": [], "optimiser.name": "sgd", "optimiser.lr": 0.1,
            "architecture.args": {"name": "vit", "width": 16, "depth": 4, "heads": 2},
            "stop.keep": "last",
        },
    )  # fmt: skip


def _same(weights, alone):
    assert {*weights} == {*alone.fitted.weights}
    for name, tensor in alone.fitted.weights.items():
        torch.testing.assert_close(weights[name], tensor, rtol=1e-3, atol=1e-4)


def _trained(run):
    return [row[4] for row in run.fitted.history if row[2:4] == ("train", "loss")]


def test_batches_of_a_step_learn_what_one_batch_learns_however_much_each_knows(
    shared, uneven, tmp_path
):
    whole = fit(shared.registry, uneven, seed=2, workdir=tmp_path / "whole")
    parts = uneven.replaced({"data.batch_size": 3, "accumulate": 6})

    apart = fit(shared.registry, parts, seed=2, workdir=tmp_path / "apart")

    assert _trained(apart) == pytest.approx(_trained(whole), rel=1e-4)
    _same(apart.fitted.weights, whole)


def test_two_processes_that_are_interrupted_learn_what_one_learns(shared, recipe, uneven, tmp_path):
    alone = fit(shared.registry, recipe, seed=2, workdir=tmp_path / "alone")
    known = fit(shared.registry, uneven, seed=2, workdir=tmp_path / "known")
    (tmp_path / "recipe.yaml").write_text(recipe.to_yaml())
    (tmp_path / "uneven.yaml").write_text(
        uneven.replaced({"data.batch_size": 6, "accumulate": 3}).to_yaml()
    )
    script = Path(__file__).parent / "shared_run.py"

    def together(*last):
        return subprocess.run(
            [
                sys.executable, "-m", "torch.distributed.run", "--standalone",
                "--local-addr=127.0.0.1", "--nproc-per-node=2", script,
                shared.registry.lake.address, tmp_path / "recipe.yaml", tmp_path, *last,
            ],
            check=False, capture_output=True, timeout=250,
            env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        )  # fmt: skip

    # Both leave after the same step, though one of them alone was asked to.
    assert b"InterruptedTrainingError" in together("2").stderr
    assert checkpoints.load(tmp_path / "together")["step"] == 2
    done = together()

    assert done.returncode == 0, done.stderr.decode()[-2000:]
    assert sorted(path.name for path in tmp_path.glob("models-*")) == ["models-0", "models-1"]
    written = [json.loads((tmp_path / f"models-{rank}").read_text()) for rank in (0, 1)]
    assert written[0]["ref"] == "tiny-classification@v1"
    assert written[1]["ref"] is None
    _same(read(Path(written[0]["weights"])), alone)
    _same(read(Path(written[0]["uneven"]["weights"])), known)
    assert written[0]["uneven"]["trained"] == pytest.approx(_trained(known), rel=1e-3)
    lost = [row[4] for row in alone.fitted.history if row[2:4] == ("validate", "loss")]
    assert written[0]["lost"] == pytest.approx(lost, rel=1e-3)
    right = [row[4] for row in alone.fitted.history if row[2:4] == ("validate", "accuracy")]
    assert written[0]["accuracy"] == pytest.approx(right, abs=0.05)  # one of 24 may be on the edge
    # Each measures half of the 24 samples, in the epochs since the run was taken up.
    assert {*written[0]["measured"], *written[1]["measured"]} == {12}
