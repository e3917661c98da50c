"""Simulated datasets whose truth is known, published on a lake of their own."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from registry.catalog.registry import Registry
from registry.lake import init
from registry.learn.training.recipe import Recipe, Smoke
from registry.learn.training.simulated import spec_of, write

SUBSETS = ("train", "train", "train", "validate")


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def simulated(ungated):
    """Return what publishes a simulation on a lake."""

    def make(registry, name, *, subsets=SUBSETS, seed=1, **smoke):
        said = Smoke(**smoke)
        draft = registry.create(replace(spec_of(said, seed=seed), name=name))
        version = ungated(
            registry, draft, lambda root: write(root, said, seed=seed, subsets=subsets)
        )
        return f"{version.dataset}@{version.tag}"

    return make


@pytest.fixture(scope="session")
def shared(tmp_path_factory, simulated):
    """A lake with small simulations; tests add models to it, each of its own name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EOLAB_USER", "ann")
        patch.setenv("EOLAB_AUTHOR", "Ann <ann@example.org>")
        patch.setenv("EOLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        registry = Registry(lake=init(str(tmp_path_factory.mktemp("shared") / "lake")))
        yield SimpleNamespace(
            registry=registry,
            burns=simulated(registry, "burns", task="burn-scars", samples=24, size=32),
            scenes=simulated(registry, "scenes", task="classification", samples=96, size=16),
            cover=simulated(
                registry, "cover", task="segmentation", layout="multi-task", samples=16, size=16
            ),
        )


@pytest.fixture(scope="session")
def recipe_of():
    """Return a small recipe, with some values changed."""

    def make(ref, *, task="segmentation", **changes):
        document = {
            "name": f"tiny-{task}",
            "heads": [{"task": task}],
            "architecture": {"factory": "lab", "args": {"name": "unet", "width": 8, "depth": 2}},
            "data": {"ref": ref, "batch_size": 6, "threads": 1, "absent_classes": "allow"},
            "epochs": 2,
        }
        return Recipe.from_document(document).replaced(changes)

    return make
