"""A small published dataset with labels, masks, targets and groups, and models to score on it."""

import datetime as dt
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import shapely

from registry.catalog import Spec
from registry.catalog.card.spec import AssetSpec, Task
from registry.catalog.registry import Registry
from registry.lake import init
from registry.learn.loading.contract import of_version
from registry.learn.models import shelf
from registry.learn.models.architecture import Architecture, Head, HeadTask
from registry.learn.models.card import Card, Lineage
from registry.tables import store
from registry.tables.pixels import encode
from registry.tables.schemas import ASSETS, PIXELS, SPLITS

COUNT, SIDE = 48, 16
CLASSES = ("dark", "grey", "bright")
COVERS = ("land", "water")
START = dt.datetime(2023, 6, 1, tzinfo=dt.UTC)


def chip(number, side=SIDE):
    """Two bands as bright as the class is, and a square of water in some."""
    random = np.random.default_rng(number)
    level = 400 + 800 * (number % 3)
    image = random.normal(level, 120, (2, side, side)).clip(1, 4000)
    mask = np.zeros((1, side, side), np.uint8)
    if number % 2:
        mask[0, 3:11, 4:12] = 1
        image[1, 3:11, 4:12] /= 4
    mask[0, 0, :3] = 255  # nobody knows
    return image.astype(np.uint16), mask


def sample(number):
    west = 4 + number / 20  # side by side, without overlap
    box = shapely.box(west, 52.0, west + 0.05, 52.05)
    return {
        "id": f"chip-{number:03}", "geometry": shapely.to_wkb(box), "georeferenced": True,
        "datetime": START + dt.timedelta(days=9 * number), "declared": [],
        "target": float(number % 3), "label": [CLASSES[number % 3]],
        "group": f"event-{number // 4}", "properties": {"eo:cloud_cover": float(number)},
    }  # fmt: skip


def asset(number, packed, name):
    return {
        "sample": f"chip-{number:03}", "asset": name, "pixels": packed.sha256,
        "shape": list(packed.shape), "dtype": packed.dtype,
        "nodata": 255.0 if name == "mask" else 0.0, "times": [],
    }  # fmt: skip


def subset_of(number):
    return "train" if number // 4 < 5 else "validate" if number // 4 < 6 else "test"


def fill(
    root, schema, numbers, side_of=lambda _: SIDE, lacks=lambda *_: False, stored=lambda one: one
):  # fmt: skip
    packed = {
        (number, name): encode(stored(array) if name == "s2" else array)
        for number in numbers
        for name, array in zip(("s2", "mask"), chip(number, side_of(number)), strict=True)
        if not lacks(number, name)
    }
    arrays = {one.sha256: one for one in packed.values()}.values()
    rows = [{"sha256": one.sha256, "codec": one.codec, "data": one.data} for one in arrays]
    store.append(root, PIXELS, pa.Table.from_pylist(rows, PIXELS.arrow))
    samples = [sample(number) for number in numbers]
    store.append(root, schema, pa.Table.from_pylist(samples, schema.arrow))
    pointers = [asset(number, one, name) for (number, name), one in packed.items()]
    store.append(root, ASSETS, pa.Table.from_pylist(pointers, ASSETS.arrow))
    split = [{"sample": f"chip-{one:03}", "subset": subset_of(one)} for one in numbers]
    store.append(root, SPLITS, pa.Table.from_pylist(split, SPLITS.arrow))


def card_of(name="fields", task="classification", unit="reflectance", scale=0.0001):
    said = {
        "name": name, "task": Task(task),
        "classes": COVERS if task == "segmentation" else CLASSES,
        "properties": {"eo:cloud_cover": "double"}, "target_unit": "t/ha",
        "assets": {
            "s2": AssetSpec(
                role="data", bands=("B04", "B08"), unit=unit, scale=scale, gsd=10.0
            ),
            "mask": AssetSpec(role="labels", values={0: "land", 1: "water"}),
        },
    }  # fmt: skip
    return Spec(**said)


@pytest.fixture(scope="session")
def published(ungated):
    """Return what publishes such a dataset into a registry."""

    def publish(registry, name="fields", numbers=range(COUNT), task="classification",
                numbers_are=("reflectance", 0.0001), **said):  # fmt: skip
        from registry.tables.schemas import samples_schema

        card = card_of(name, task, *numbers_are)
        schema = samples_schema(card.properties_type())
        draft = registry.create(card)
        return ungated(registry, draft, lambda root: fill(root, schema, numbers, **said))

    return publish


HEADS = {
    "classes": Head(name="classes", task=HeadTask.CLASSIFICATION, classes=CLASSES),
    "classification": Head(name="classification", task=HeadTask.CLASSIFICATION, classes=CLASSES),
    "cover": Head(name="cover", task=HeadTask.SEGMENTATION, classes=COVERS, asset="mask"),
    "yield": Head(name="yield", task=HeadTask.REGRESSION, unit="t/ha", mean=1.0, std=0.8),
}


@pytest.fixture(scope="session")
def made():
    """Return what saves a network with random weights as a model."""
    import torch

    from registry.learn.models.factory import build

    def make(registry, version, name="toy-net", *, seed=0, heads=("classes",), **said):
        torch.manual_seed(seed)
        contract = of_version(version, registry=registry)
        architecture = Architecture(factory="lab", args={"name": "unet", "width": 4, "depth": 2})
        given = tuple(HEADS[one] for one in heads)
        network = build(architecture, contract=contract, heads=given, size=(SIDE, SIDE))
        lineage = Lineage(
            dataset=str(version.ref), content_id=version.content_id, commit=version.commit.id,
            split="default", split_id=version.data_id_of("splits/default"),
        )  # fmt: skip
        card = Card(**{
            "name": name, "architecture": architecture, "heads": given, "contract": contract,
            "size": (SIDE, SIDE), "lineage": lineage, "recipe": {"name": name, "seed": seed},
            "seed": seed, **said,
        })  # fmt: skip
        return shelf.save(registry, card, network.state_dict(), message=f"seed {seed}")

    return make


@pytest.fixture(scope="module")
def lab(tmp_path_factory, published, made):
    """A lake with one version and a model of three seeds; tests of a module share it."""
    import torch

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("lab")
    registry = Registry(lake=init(str(folder / "lake")))
    version = published(registry)
    models = [made(registry, version, seed=seed) for seed in range(3)]
    return SimpleNamespace(registry=registry, version=version, ref=str(version.ref), models=models)


@pytest.fixture(autouse=True)
def person(monkeypatch):
    monkeypatch.setenv("EOLAB_USER", "ann")
    monkeypatch.setenv("EOLAB_AUTHOR", "Ann <ann@example.org>")
