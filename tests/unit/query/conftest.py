"""A small dataset with chips, published on a lake of its own."""

import numpy as np
import pyarrow as pa
import pytest
import shapely

from registry.catalog import Spec
from registry.catalog.registry import Registry
from registry.lake import init
from registry.tables import store
from registry.tables.pixels import encode
from registry.tables.schemas import ANNOTATIONS, ASSETS, PIXELS, SAMPLES, SPLITS

COUNT = 10


def chip(number: int) -> np.ndarray:
    """Values say where they are: band, row and column, and whose they are."""
    return (np.arange(2 * 3 * 4, dtype=np.uint16) + 100 * number).reshape(2, 3, 4)


def sample(number: int) -> dict:
    west, south = 4 + number / 10, 52.0
    box = shapely.box(west, south, west + 0.05, south + 0.05)
    bounds = dict(zip(("xmin", "ymin", "xmax", "ymax"), box.bounds, strict=True))
    return {
        "id": f"s{number}", "geometry": shapely.to_wkb(box), "bbox": bounds, "hilbert": number,
        "label": ["ship" if number % 2 else "sea"], "georeferenced": True, "declared": [],
    }  # fmt: skip


def fill(root, count=COUNT):
    packed = [encode(chip(number)) for number in range(count)]
    rows = {
        SAMPLES: [sample(number) for number in range(count)],
        PIXELS: [{"sha256": p.sha256, "codec": p.codec, "data": p.data} for p in packed],
        ASSETS: [
            {
                "sample": f"s{number}", "asset": "s2", "pixels": p.sha256, "shape": [2, 3, 4],
                "dtype": "uint16", "nodata": 0.0, "times": [],
            }
            for number, p in enumerate(packed)
        ],
        SPLITS: [
            {"sample": f"s{number}", "subset": "train" if number < 8 else "test"}
            for number in range(count)
        ],
        ANNOTATIONS: [
            {
                "id": "a1", "sample": "s1", "frame": "pixel", "category": "ship",
                "geometry": shapely.to_wkb(shapely.box(500, 600, 510, 620)),
            }
        ],
    }  # fmt: skip
    for schema, of in rows.items():
        store.create(root, schema)
        store.append(root, schema, pa.Table.from_pylist(of, schema.arrow))


@pytest.fixture(scope="session")
def published(ungated):
    def with_samples(registry, name, count=COUNT):
        draft = registry.create(Spec(name=name))
        return ungated(registry, draft, lambda root: fill(root, count))

    return with_samples


@pytest.fixture
def person(monkeypatch):
    monkeypatch.setenv("EOLAB_USER", "ann")
    monkeypatch.setenv("EOLAB_AUTHOR", "Ann <ann@example.org>")


@pytest.fixture(scope="session")
def shared(tmp_path_factory, published):
    """A lake that tests only read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EOLAB_USER", "ann")
        patch.setenv("EOLAB_AUTHOR", "Ann <ann@example.org>")
        registry = Registry(lake=init(str(tmp_path_factory.mktemp("shared") / "lake")))
        published(registry, "ships")
        published(registry, "boats", count=4)
        yield registry


@pytest.fixture
def own(tmp_path, person, published):
    """A lake of the test's own."""
    registry = Registry(lake=init(str(tmp_path / "lake")))
    published(registry, "ships")
    return registry
