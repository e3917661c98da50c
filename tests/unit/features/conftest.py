"""A small dataset with pixels, times and annotations, published on a lake of its own."""

import datetime as dt
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import shapely

from registry.catalog import Spec
from registry.catalog.card.spec import AssetSpec
from registry.catalog.registry import Registry
from registry.curate.features.definition import Feature, FeatureSet, Needs
from registry.lake import init
from registry.tables import store
from registry.tables.pixels import encode
from registry.tables.schemas import ANNOTATIONS, ASSETS, PIXELS, SAMPLES, SPLITS

COUNT = 12
START = dt.datetime(2023, 6, 1, tzinfo=dt.UTC)


def chip(number, seed=0):
    """Two bands whose values say whose they are."""
    random = np.random.default_rng(1000 * seed + number)
    return random.integers(1, 4000, (2, 6, 5), dtype=np.uint16)


def sample(number):
    west, south = 4 + number / 10, 52.0
    box = shapely.box(west, south, west + 0.05, south + 0.05)
    return {
        "id": f"s{number:02}", "geometry": shapely.to_wkb(box), "georeferenced": True,
        "datetime": START + dt.timedelta(days=number), "declared": [], "target": float(number),
        "label": ["ship" if number % 2 else "sea"],
    }  # fmt: skip


def asset(number, packed, name="s2"):
    return {
        "sample": f"s{number:02}", "asset": name, "pixels": packed.sha256,
        "shape": list(packed.shape), "dtype": packed.dtype, "nodata": 0.0, "times": [],
    }  # fmt: skip


def pixels(packed):
    return {"sha256": packed.sha256, "codec": packed.codec, "data": packed.data}


def rows_of(schema, rows):
    return pa.Table.from_pylist(rows, schema.arrow)


def fill(root, count=COUNT):
    packed = [encode(chip(number)) for number in range(count)]
    store.append(root, SAMPLES, rows_of(SAMPLES, [sample(n) for n in range(count)]))
    store.append(root, PIXELS, rows_of(PIXELS, [pixels(p) for p in packed]))
    store.append(root, ASSETS, rows_of(ASSETS, [asset(n, p) for n, p in enumerate(packed)]))
    split = [{"sample": f"s{n:02}", "subset": "train" if n < 8 else "test"} for n in range(count)]
    store.append(root, SPLITS, rows_of(SPLITS, split))
    box = shapely.to_wkb(shapely.box(1, 1, 3, 3))
    drawn = [
        {"id": f"a{n}", "sample": f"s{n:02}", "frame": "pixel", "category": "ship", "geometry": box}
        for n in range(1, count, 2)
    ]
    store.append(root, ANNOTATIONS, rows_of(ANNOTATIONS, drawn))


@pytest.fixture(scope="session")
def toy():
    """What the dataset's rows are made of."""

    def rows(schema, of):
        return rows_of(schema, list(of))

    return SimpleNamespace(
        chip=chip, sample=sample, asset=asset, pixels=pixels, rows=rows, encode=encode, fill=fill,
        card=CARD,
    )  # fmt: skip


CARD = Spec(
    name="toy",
    assets={"s2": AssetSpec(role="data", bands=("B04", "B08"), scale=0.0001, gsd=10.0)},
)


@dataclass
class Counted:
    """A feature set that says which samples it was asked about."""

    seen: list = field(default_factory=list)
    fails_on: frozenset = frozenset()

    def values(self, scene):
        self.seen.append(scene.sample)
        if scene.sample in self.fails_on:
            raise ZeroDivisionError(f"nothing to divide in {scene.sample}")
        layer = scene.layer()
        return {"mean": float(np.mean(layer.physical(0))), "most": int(layer.raw.max())}

    def set(self, **changes):
        said = {
            "name": "counted", "version": 1, "title": "counted",
            "features": (
                Feature(name="mean", meaning="m", formula="mean(b0)", source="test"),
                Feature(name="most", meaning="m", formula="max", source="test", type=pa.int64()),
            ),
            "needs": Needs(arrays=True), "by_scene": self.values,
        }  # fmt: skip
        return FeatureSet(**said | changes)


@pytest.fixture
def counted():
    return Counted()


@pytest.fixture
def offered(monkeypatch):
    """Offer sets by name, as an installed package does."""
    from registry.curate.features import catalogue, work

    known = catalogue._load

    def offer(*sets):
        by_name = {made.name: made for made in sets}
        monkeypatch.setattr(catalogue, "_load", lambda name: by_name.get(name) or known(name))
        work._resolved.cache_clear()

    yield offer
    work._resolved.cache_clear()


@pytest.fixture
def person(monkeypatch):
    monkeypatch.setenv("EOLAB_USER", "ann")
    monkeypatch.setenv("EOLAB_AUTHOR", "Ann <ann@example.org>")


@pytest.fixture
def lake(tmp_path, person, monkeypatch):
    monkeypatch.setenv("EOLAB_CACHE", str(tmp_path / "cache"))
    return Registry(lake=init(str(tmp_path / "lake")))


@pytest.fixture
def publish(ungated):
    def made(registry, write=fill, card=CARD):
        known = card.name in registry.names()
        draft = registry.draft(card.name) if known else registry.create(card)
        return ungated(registry, draft, write)

    return made
