"""The same run gives the same weights, however often and wherever it was interrupted."""

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from registry.errors import CorruptError, InvalidInputError
from registry.learn.models import weights
from registry.learn.training import checkpoints, fit
from registry.learn.training.beginning import BEGAN
from registry.learn.training.errors import (
    DivergedError,
    InterruptedTrainingError,
    NoCheckpointError,
)

STEPS = 9  # three epochs of three


class At:
    """A progress that does something once a step was taken."""

    def __init__(self, step, do):
        self.step, self.do, self.taken = step, do, 0

    def stage(self, what, *, total, unit):
        self.taken = 0

    def advance(self, count=1):
        self.taken += count
        if count and self.taken == self.step:
            self.do()


class Killed(BaseException):
    """As sudden as a signal, for those who watch."""


def killed():
    raise Killed


def same(one, other):
    assert {*one.fitted.weights} == {*other.fitted.weights}
    for name, tensor in one.fitted.weights.items():
        assert tensor.equal(other.fitted.weights[name]), name
    assert one.fitted.history == other.fitted.history
    assert one.fitted.figures == other.fitted.figures


@pytest.fixture(scope="module")
def recipe(shared, recipe_of):
    return recipe_of(
        shared.burns, epochs=3, **{"checkpoint_steps": 1, "data.augment": ["flip", "noise"]}
    )


@pytest.fixture(scope="module")
def unbroken(shared, recipe, tmp_path_factory):
    torch.set_num_threads(1)
    return fit(shared.registry, recipe, seed=5, workdir=tmp_path_factory.mktemp("unbroken"))


def test_two_runs_give_the_same_bits(shared, recipe, unbroken, tmp_path):
    again = fit(shared.registry, recipe, seed=5, workdir=tmp_path)

    same(again, unbroken)
    assert len([row for row in again.fitted.history if row[2:4] == ("train", "loss")]) == STEPS


def test_another_seed_gives_other_weights(shared, recipe, unbroken, tmp_path):
    other = fit(shared.registry, recipe.replaced({"steps": 1}), seed=6, workdir=tmp_path)

    name = next(name for name in unbroken.fitted.weights if name.endswith("weight"))
    assert not other.fitted.weights[name].equal(unbroken.fitted.weights[name])


@pytest.mark.parametrize("every", [1, 2, None])
def test_a_run_that_is_stopped_at_any_step_ends_where_it_would_have(
    shared, recipe, unbroken, tmp_path, every
):
    said = recipe.replaced({"checkpoint_steps": every})
    for step in (1, 3, 4, 8):  # ever later, in one run that is stopped again and again
        with pytest.raises(Killed):
            fit(shared.registry, said, seed=5, workdir=tmp_path, resume=True,
                progress=At(step, killed))  # fmt: skip

    resumed = fit(shared.registry, said, seed=5, workdir=tmp_path, resume=True)

    same(resumed, unbroken)


def test_a_run_with_a_teacher_and_gathered_gradients_goes_on_too(shared, recipe, tmp_path):
    said = recipe.replaced({
        "semi": {}, "accumulate": 2, "data.fraction": 0.5, "data.batch_size": 4, "steps": 4,
    })  # fmt: skip
    whole = fit(shared.registry, said, seed=1, workdir=tmp_path / "whole")
    with pytest.raises(Killed):
        fit(shared.registry, said, seed=1, workdir=tmp_path / "part", progress=At(3, killed))

    resumed = fit(shared.registry, said, seed=1, workdir=tmp_path / "part", resume=True)

    same(resumed, whole)


def test_a_process_that_is_killed_leaves_what_another_goes_on_from(
    shared, recipe, unbroken, tmp_path
):
    script = Path(__file__).parent / "killed_run.py"
    (tmp_path / "recipe.yaml").write_text(recipe.to_yaml())
    address = shared.registry.lake.address

    done = subprocess.run(
        [sys.executable, script, address, tmp_path / "recipe.yaml", tmp_path / "work", "5"],
        check=False, capture_output=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip

    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    kept = checkpoints.load(tmp_path / "work")
    assert kept["step"] == 4
    resumed = fit(shared.registry, recipe, seed=5, workdir=tmp_path / "work", resume=True)
    same(resumed, unbroken)


def test_whoever_is_asked_to_end_leaves_a_checkpoint_first(shared, recipe, unbroken, tmp_path):
    said = recipe.replaced({"checkpoint_steps": None})
    ask = At(4, lambda: os.kill(os.getpid(), signal.SIGTERM))

    with pytest.raises(InterruptedTrainingError, match="after step 4"):
        fit(shared.registry, said, seed=5, workdir=tmp_path, progress=ask)

    assert checkpoints.load(tmp_path)["step"] == 4
    same(fit(shared.registry, said, seed=5, workdir=tmp_path, resume=True), unbroken)


def test_a_full_disk_keeps_the_checkpoint_before(shared, recipe, unbroken, tmp_path, monkeypatch):
    real, said = torch.save, recipe.replaced({"checkpoint_steps": 1})
    count = 0

    def save(state, file):
        nonlocal count
        count += 1
        if count == 4:
            file.write(b"half of it")
            raise OSError(errno.ENOSPC, "No space left on device")
        real(state, file)

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(NoCheckpointError, match="No space left on device; the one before it"):
        fit(shared.registry, said, seed=5, workdir=tmp_path)
    monkeypatch.undo()

    assert not list(tmp_path.glob("*.begun"))
    assert checkpoints.load(tmp_path)["step"] == 3
    same(fit(shared.registry, said, seed=5, workdir=tmp_path, resume=True), unbroken)


def test_a_checkpoint_that_is_damaged_is_named(shared, recipe, tmp_path):
    (tmp_path / checkpoints.LAST).write_bytes(b"PK not a checkpoint")

    with pytest.raises(CorruptError, match="--fresh"):
        fit(shared.registry, recipe, seed=5, workdir=tmp_path, resume=True)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    canary = tmp_path / "canary"

    class Hostile:
        def __reduce__(self):
            return Path.touch, (canary,)

    torch.save({"step": Hostile()}, tmp_path / checkpoints.LAST)

    with pytest.raises(CorruptError):
        checkpoints.load(tmp_path)
    assert not canary.exists()


def test_a_loss_that_is_no_number_names_the_samples(shared, recipe, tmp_path):
    said = recipe.replaced({"optimiser.name": "sgd", "optimiser.lr": 1e30, "clip": None})

    with pytest.raises(
        DivergedError, match=r"is (nan|inf) at step \d of epoch [1-9], .* samples \w+-"
    ):
        fit(shared.registry, said, seed=5, workdir=tmp_path)


def test_a_run_that_does_not_improve_ends_early_and_keeps_its_best(shared, recipe, tmp_path):
    said = recipe.replaced({"optimiser.lr": 1e-12, "epochs": 50, "stop.patience": 2})

    run = fit(shared.registry, said, seed=5, workdir=tmp_path)

    assert run.fitted.steps < 50 * 3
    assert run.fitted.best_step < run.fitted.steps


def test_a_run_goes_on_only_with_the_weights_that_it_began_with(shared, recipe, unbroken, tmp_path):
    path = tmp_path / "theirs.safetensors"
    weights.write(dict(unbroken.fitted.weights), path)
    said, work = recipe.replaced({"init.weights": str(path)}), tmp_path / "work"
    with pytest.raises(Killed):
        fit(shared.registry, said, seed=1, workdir=work, progress=At(4, killed))
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    assert json.loads((work / BEGAN).read_text())["sha256"] == before

    weights.write({name: one + 1 for name, one in unbroken.fitted.weights.items()}, path)
    with pytest.raises(InvalidInputError, match=rf"began with theirs\.safetensors .*{before}"):
        fit(shared.registry, said, seed=1, workdir=work, resume=True)
    weights.write(dict(unbroken.fitted.weights), path)
    done = fit(shared.registry, said, seed=1, workdir=work, resume=True)

    assert done.card.lineage.parent_sha256 == before


def test_a_run_of_half_precision_says_nothing_that_the_recipe_does_not(
    shared, recipe, tmp_path, caplog
):
    half = recipe.replaced({"precision": "bf16", "steps": 1})

    fit(shared.registry, half, seed=1, workdir=tmp_path)

    assert not caplog.messages


def test_a_run_says_that_it_goes_on_or_that_nothing_was_left(shared, recipe, tmp_path, caplog):
    caplog.set_level("INFO", "eolab.training")
    with pytest.raises(Killed):
        fit(shared.registry, recipe, seed=1, workdir=tmp_path, progress=At(4, killed))
    assert not caplog.messages

    fit(shared.registry, recipe, seed=1, workdir=tmp_path, resume=True)
    fit(shared.registry, recipe, seed=1, workdir=tmp_path, resume=True)

    first, second = caplog.messages
    assert "goes on from step 3 of 9" in first
    assert "had come to its end at step 9: nothing was left to do" in second
