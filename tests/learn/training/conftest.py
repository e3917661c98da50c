"""Simulated datasets whose truth is known, published on a lake of a test's own."""

from dataclasses import replace
from types import SimpleNamespace

import pyarrow as pa
import pytest
import torch

from registry.catalog.registry import Registry
from registry.curate.ingest.simulator import TASKS, batches, simulate
from registry.curate.ingest.simulator.cards import card_of
from registry.lake import init
from registry.learn.training.recipe import Recipe
from registry.tables import store
from registry.tables.pixels import encode
from registry.tables.schemas import ANNOTATIONS, ASSETS, PIXELS, SPLITS, samples_schema


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _asset_row(one, packed, name):
    a, b, c, d, e, f = one.grid.transform[:6]
    return {
        "sample": one.sample, "asset": name, "pixels": packed.sha256, "shape": list(packed.shape),
        "dtype": packed.dtype, "crs": one.grid.crs, "transform": [a, b, c, d, e, f],
        "times": list(one.times), "nodata": one.nodata,
    }  # fmt: skip


def write_simulated(root, task, *, samples, seed, size, subsets, change=None):
    """Write a simulation as tables; every n-th sample goes to each subset in turn."""
    names = {}
    for batch in batches(task, samples=samples, seed=seed, size=size):
        schema = samples_schema(batch.samples.schema.field("properties").type)
        table = batch.samples if change is None else change(batch.samples)
        store.append(root, schema, table)
        rows, packed_rows = [], {}
        for one in batch.assets:
            sensor = one.asset not in {"mask", "biomass"}
            name = "image" if sensor else "mask"
            packed = encode(one.array)
            packed_rows[packed.sha256] = {
                "sha256": packed.sha256, "codec": packed.codec, "data": packed.data,
            }  # fmt: skip
            rows.append(_asset_row(one, packed, name))
            names.setdefault(one.sample, len(names))
        store.append(root, PIXELS, pa.Table.from_pylist([*packed_rows.values()], PIXELS.arrow))
        store.append(root, ASSETS, pa.Table.from_pylist(rows, ASSETS.arrow))
        if batch.annotations.num_rows:
            store.append(root, ANNOTATIONS, batch.annotations)
    split = [
        {"sample": name, "subset": subsets[number % len(subsets)]}
        for name, number in names.items()
    ]
    store.append(root, SPLITS, pa.Table.from_pylist(split, SPLITS.arrow))


SUBSETS = ("train", "train", "train", "validate")


@pytest.fixture(scope="session")
def made_simulation(ungated):
    """Return what publishes a simulation on a lake."""

    def make(
        registry, task, *, samples=24, seed=1, size=32, subsets=SUBSETS, classes=None, name=None,
        change=None,
    ):  # fmt: skip
        spec = card_of(TASKS[task], next(simulate(task, samples=1, seed=seed, size=size)))
        spec = replace(spec, name=name or spec.name, **({"classes": classes} if classes else {}))
        draft = registry.create(spec)
        version = ungated(
            registry,
            draft,
            lambda root: write_simulated(
                root, task, samples=samples, seed=seed, size=size, subsets=subsets, change=change
            ),
        )
        return f"{version.dataset}@{version.tag}"

    return make


@pytest.fixture(scope="session")
def shared(tmp_path_factory, made_simulation):
    """A lake with small simulations; tests add only models, each of its own name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EOLAB_USER", "ann")
        patch.setenv("EOLAB_AUTHOR", "Ann <ann@example.org>")
        patch.setenv("EOLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        registry = Registry(lake=init(str(tmp_path_factory.mktemp("shared") / "lake")))
        burns = made_simulation(registry, "burn-scars")
        scenes = made_simulation(registry, "classification", samples=48)
        yield SimpleNamespace(registry=registry, burns=burns, scenes=scenes)


@pytest.fixture
def recipe_of():
    """Return a small recipe, with some values changed."""

    def make(ref, task="segmentation", **overrides):
        document = {
            "name": f"tiny-{task}",
            "heads": [{"task": task}],
            "architecture": {"factory": "lab", "args": {"name": "unet"}},
            "data": {"ref": ref, "batch_size": 6, "threads": 1, "absent_classes": "allow"},
            "epochs": 2,
        }
        return Recipe.from_document(document).replaced(overrides)

    return make


